# ruff: noqa
# Ends in the way that its argument names.
import os
import signal
import sys


def fail(depth):
    if depth:
        return fail(depth - 1)
    raise KeyError("deep in the script")


how = sys.argv[1]
if how == "status":
    print(sys.argv[1:])
    sys.exit(7)
if how == "message":
    sys.exit("a last word")
if how == "raise":
    fail(2)
if how == "chain":
    try:
        fail(0)
    except KeyError:
        import tensorflow.contrib.rnn
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "terminate":
    print("ready", flush=True)
    signal.pause()
if how == "interrupt":
    raise KeyboardInterrupt
