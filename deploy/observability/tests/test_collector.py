"""Traces in compose: every process sends all of its own, the collector keeps what is worth it, the store is bounded."""

from pathlib import Path
from typing import Any, Final

import yaml

from engines.checkout import ROOT
from local_stack.services import SERVICES

FOLDER: Final = ROOT / "deploy" / "observability"
CONTAINERS: Final[dict[str, dict[str, Any]]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
COLLECTOR: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "collector.yml").read_text())
STORE: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "traces.yml").read_text())
PORT: Final = 4318


def test_every_process_sends_every_trace_to_the_collector() -> None:
    for service in SERVICES:
        for process in service.processes:
            environment = CONTAINERS[process.name]["environment"]
            assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{PORT}"
            assert environment["TRACE_SAMPLE_RATIO"] == "${TRACE_SAMPLE_RATIO:-1}"


def test_the_collector_keeps_what_failed_or_was_slow_and_a_hundredth_of_the_rest() -> None:
    kept = {policy["type"]: policy[policy["type"]] for policy in COLLECTOR["processors"]["tail_sampling"]["policies"]}

    assert kept == {
        "status_code": {"status_codes": ["ERROR"]},
        "latency": {"threshold_ms": 500},
        "probabilistic": {"sampling_percentage": 1},
    }
    # What limits memory stands first, and what makes batches behind what takes traces out of them.
    assert COLLECTOR["service"]["pipelines"]["traces"]["processors"] == ["memory_limiter", "tail_sampling", "batch"]


def test_each_takes_what_the_one_before_sends() -> None:
    for file in (COLLECTOR, STORE):
        assert file["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == f"0.0.0.0:{PORT}"
    assert COLLECTOR["exporters"]["otlp_http"]["endpoint"] == f"http://traces:{PORT}"
    assert STORE["extensions"]["jaeger_query"]["http"]["endpoint"] == "0.0.0.0:16686"
    assert CONTAINERS["traces"]["ports"][0].endswith(":16686")


def test_a_pipeline_is_made_of_parts_that_are_configured_and_each_part_is_used() -> None:
    for file in (COLLECTOR, STORE):
        (pipeline,) = file["service"]["pipelines"].values()
        for kind, names in pipeline.items():
            assert set(names) == set(file[kind])
        assert set(file["service"].get("extensions", ())) == set(file.get("extensions", {}))


def test_memory_is_bounded() -> None:
    limits = COLLECTOR["processors"]["memory_limiter"]
    sampling = COLLECTOR["processors"]["tail_sampling"]
    (backend,) = STORE["extensions"]["jaeger_storage"]["backends"].values()

    assert limits["limit_mib"] < int(CONTAINERS["collector"]["mem_limit"].removesuffix("m"))
    assert sampling["num_traces"] <= sampling["decision_cache"]["sampled_cache_size"]
    assert backend["memory"]["max_traces"] <= 20_000


def test_the_containers_are_given_these_files() -> None:
    for name, file in (("collector", "collector.yml"), ("traces", "traces.yml")):
        (mounted,) = CONTAINERS[name]["volumes"]
        inside = Path(mounted.split(":")[1])
        assert mounted == f"./{(FOLDER / file).relative_to(ROOT)}:{inside}:ro"
        assert CONTAINERS[name]["command"] == [f"--config={inside}"]
