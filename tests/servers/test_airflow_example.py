"""`examples/airflow_dag.py`, run by Airflow without a scheduler, in an environment of its own."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "airflow_dag.py"
AIRFLOW = Path(sys.prefix) / "airflow" / "bin" / "airflow"  # `make test-integrations` installs it apart: it pins much
DAY = "2026-11-20"


def airflow(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Airflow with a database and DAGs of its own."""
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    return subprocess.run(
        [AIRFLOW, *words],
        env={**os.environ, **settings, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's directory, with the example among its DAGs."""
    home = tmp_path_factory.mktemp("airflow")
    for name in ("dags", "journals"):
        (home / name).mkdir()
    shutil.copy(EXAMPLE, home / "dags")
    (home / f"crm-{DAY}.csv").write_text("email\nanna@example.com\nno address\nli@example.org\n", encoding="utf-8")
    made = airflow(home, "db", "migrate")
    assert made.returncode == 0, made.stderr
    return home


async def run(home: Path, sandbox: Sandbox, segment_id: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the example's DAG for a day, to its end."""
    settings = {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "CRM_LIST": segment_id,
        "CRM_EXPORTS": str(home / "crm-{day}.csv"),
        "CRM_JOURNALS": str(home / "journals"),
        **variables,
    }
    return await asyncio.to_thread(airflow, home, "dags", "test", "upload_customers", DAY, **settings)


@pytest.mark.timeout(300)
async def test_a_day_is_uploaded_and_its_report_is_an_xcom(home: Path) -> None:
    """The list holds the export's people, and the run succeeds."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list()
        done = await run(home, sandbox, segment_id)
        assert "state=success" in done.stdout + done.stderr
        assert len(sandbox.contact_list(segment_id)) == 2
    assert re.search(r"'valid': 2\b", done.stdout + done.stderr)


@pytest.mark.timeout(300)
async def test_a_refused_login_is_not_tried_again(home: Path) -> None:
    """The run fails at its first try, without a call of its own, and says why without the secret."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list()
        done = await run(home, sandbox, segment_id, CRITEO_CLIENT_SECRET="planted-secret")
        printed = done.stdout + done.stderr
        assert "state=failed" in printed
        assert "up_for_retry" not in printed
        assert "AirflowFailException" in printed
        assert "planted-secret" not in printed
        assert {call.path for call in sandbox.requests} == {"/oauth2/token"}
