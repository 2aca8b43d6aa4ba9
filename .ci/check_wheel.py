"""Import every public module of the installed package, and run its command, outside the checkout."""

import importlib
import importlib.metadata
import pathlib
import pkgutil
import subprocess
import sys

import tf_symconv

package = pathlib.Path(tf_symconv.__file__).parent
problems = []
if "site-packages" not in package.parts:
    problems.append(f"the package is imported from {package}, not from the wheel")
if not (package / "py.typed").exists():
    problems.append("py.typed is missing")
tops = {file.parts[0] for file in importlib.metadata.files("tf_symconv") or [] if file.suffix == ".py"}
if tops != {"tf_symconv"}:
    problems.append(f"the wheel installs {sorted(tops)}, not tf_symconv alone")
modules = [name for _, name, _ in pkgutil.walk_packages(tf_symconv.__path__, "tf_symconv.") if "._" not in name]
for name in modules:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)
for arguments in (["--version"], ["--help"], ["train", "--help"], ["verify", "--help"]):
    done = subprocess.run([pathlib.Path(sys.executable).with_name("symconv"), *arguments], capture_output=True)
    if done.returncode:
        problems.append(f"symconv {' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode()}")
if {"tf_symconv.compat_v1", "tf_symconv.serving", "tf_symconv.layers"} - set(modules):
    problems.append(f"the wheel lacks packages; it has {modules}")
if problems:
    sys.exit("\n".join(problems))
sys.stdout.write(f"{len(modules)} public modules import from {tf_symconv.__version__}\n")
