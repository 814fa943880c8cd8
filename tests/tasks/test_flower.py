"""Flower, as `celery -A tasks flower` starts it: it shows every task of the farm, to those who know the password."""

from __future__ import annotations

from tests.tasks.flower import flower
from tests.tasks.load import TWO_STEPS, bars_job
from tests.waiting import until


def test_flower_shows_workers_and_every_task_with_the_password_and_nothing_without(shared_farm):
    with flower(shared_farm) as api, shared_farm.client() as client:
        until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="the worker")
        calls = [bars_job(f"{size} rows", "BTC-USDT", minutes=size).kwargs for size in (60, TWO_STEPS)]
        sent = [client.send_task("tasks.fetch.binance", kwargs=call) for call in calls]
        for one in sent:
            one.get(timeout=60)

        def shown():
            return {task["uuid"]: (task["state"], task["name"]) for task in api.read("/api/tasks").values()}

        # A call's last step answers for it under the call's own id; the step between has one of its own.
        until(lambda: ("SUCCESS", "tasks.normalize") in shown().values(), what="the step between")
        until(lambda: {shown()[one.id][0] for one in sent} == {"SUCCESS"}, what="both calls to end")
        [worker] = api.read("/api/workers?refresh=1").values()
        assert {"tasks.fetch.binance", "tasks.fetch.nasdaq_data_link", "tasks.store"} <= {
            name.split(" ")[0] for name in worker["registered"]
        }
        assert api.status("/") == api.status("/tasks") == 200
        assert {api.status(path, password=False) for path in ("/", "/tasks", "/api/tasks", "/api/workers")} == {401}
