"""What TF_CONFIG may say, and how it is told that it says something else."""

import json

import pytest
import tensorflow as tf

from tf_symconv.distributed import Cluster, make_strategy, read_cluster

TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


def environ(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize("text", [None, "", "  "])
def test_without_it_a_process_is_alone(text):
    assert read_cluster({} if text is None else {"TF_CONFIG": text}) is None


def test_the_first_worker_is_the_chief_where_no_other_is_named():
    assert read_cluster(environ({"worker": TWO}, index=0)) == Cluster(tuple(TWO), 0)
    assert read_cluster(environ({"worker": TWO}, index="1")) == Cluster(tuple(TWO), 1)
    assert read_cluster(environ({"worker": TWO})).is_chief
    assert not read_cluster(environ({"worker": TWO}, index=1)).is_chief


def test_a_chief_comes_before_the_workers():
    cluster = {"worker": TWO, "chief": ["[::1]:99"]}
    assert read_cluster(environ(cluster, "chief")) == Cluster(("[::1]:99", *TWO), 0)
    assert read_cluster(environ(cluster, "worker", 1)) == Cluster(("[::1]:99", *TWO), 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG must be JSON"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG must be JSON"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG must be JSON"),
        (environ({}), "TF_CONFIG must be JSON"),
        (environ({"worker": TWO, "ps": ["c:1"]}), "nobody else takes part. Received: cluster with 'ps'"),
        (environ({"worker": TWO, "chief": ["c:1", "d:1"]}), "one chief at most"),
        (environ({"worker": "10.0.0.1:2222"}), "must list addresses. Received: worker='10.0.0.1:2222'"),
        (environ({"worker": []}), "must list addresses"),
        (environ({"worker": ["10.0.0.1"]}), "must be host:port. Received: worker at '10.0.0.1'"),
        (environ({"worker": ["a:0"]}), "must be host:port"),
        (environ({"worker": ["a:65536"]}), "must be host:port"),
        (environ({"worker": [2222]}), "must be host:port. Received: worker at 2222"),
        (environ({"worker": ["a:1", "b:1", "a:1"]}), "must differ. Received: a:1 more than once"),
        (environ({"worker": TWO}, "chief"), "a type of the cluster, 'worker'. Received: type='chief'"),
        (environ({"worker": TWO}, index=2), "an index from 0 to 1, the cluster has 2 .* Received: index=2"),
        (environ({"worker": TWO}, index=-1), "Received: index=-1"),
        (environ({"worker": TWO}, index=None), "Received: index=None"),
        (environ({"worker": TWO}, index=True), "Received: index=True"),
    ],
)
def test_what_is_wrong_is_told(config, message):
    with pytest.raises(ValueError, match=message):
        read_cluster(config)


def test_one_worker_needs_no_others(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", environ({"worker": ["a:1"]})["TF_CONFIG"])
    assert type(make_strategy()) is tf.distribute.MirroredStrategy


def test_a_strategy_for_several_comes_before_all_else(monkeypatch):
    tf.constant(0)
    monkeypatch.setenv("TF_CONFIG", environ({"worker": TWO})["TF_CONFIG"])
    with pytest.raises(RuntimeError, match="must be called before anything else that uses TensorFlow"):
        make_strategy()


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_a_timeout_is_positive(timeout):
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds"):
        make_strategy(timeout=timeout)
