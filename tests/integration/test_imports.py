"""What an import loads and does, in a fresh interpreter."""

import subprocess
import sys

OPTIONAL = [
    "typer",
    "rich",
    "duckdb",
    "pyarrow",
    "pandas",
    "polars",
    "redis",
    "pyspark",
    "opentelemetry",
    "pytest",
    "phonenumbers",
]


def run(code: str) -> str:
    """Runs code in a fresh interpreter in which a warning is an error; returns what it prints."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_optional_dependencies_stay_unloaded() -> None:
    """`import criteo_audiences` loads no optional dependency, neither the command line nor the sandbox."""
    loaded = run(
        "import sys, criteo_audiences\n"
        f"print([name for name in {OPTIONAL!r} if name in sys.modules]"
        " + [name for name in sys.modules if name.split('.')[1:2] in (['cli'], ['sandbox'])])"
    )
    assert loaded == "[]"


def test_an_engine_that_calls_no_function_of_ours_loads_no_numpy() -> None:
    """So the process of a query, of which every query has one, starts sooner."""
    loaded = run(
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        "from criteo_audiences.tables.engine import query_process\n"
        "directory = tempfile.TemporaryDirectory()\n"
        "with query_process.connect(Path(directory.name), threads=1, memory_limit='100MB', files=None) as engine:\n"
        "    engine.execute('SELECT 1').fetchall()\n"
        "directory.cleanup()\n"
        "print('numpy' in sys.modules)"
    )
    assert loaded == "False"


def test_spark_without_its_extra_finds_other_data_sources() -> None:
    """The module that Spark imports by its name has no data source then, and does not fail."""
    code = "import sys; sys.modules['pyspark'] = None; import pyspark_criteo_audiences as found"
    assert run(f"{code}; print(hasattr(found, 'DefaultSource'))") == "False"


def test_integrations_say_which_extra_they_need() -> None:
    """Whoever imports one without its extra is told what to install, not which module of another package is missing."""
    needed = {"spark": "pyspark", "opentelemetry": "opentelemetry"}
    said = run(
        f"import importlib, sys; sys.modules.update(dict.fromkeys({[*needed.values()]!r}))\n"
        f"for module in {[*needed]!r}:\n"
        "    try: importlib.import_module(f'criteo_audiences.integrations.{module}')\n"
        "    except ImportError as error: print(error)"
    )
    for line, module in zip(said.splitlines(), needed, strict=True):
        assert f"pip install 'criteo-audiences[{module}]'" in line


def test_services_stay_unloaded_until_asked_for() -> None:
    """Services, uploads and tables are imported when they are first asked for, and then only the one that was."""
    loaded = run(
        "import sys, criteo_audiences\n"
        "def loaded(): return [n for n in ('tables', 'uploads', *SERVICES) if f'criteo_audiences.{n}' in sys.modules]\n"
        "SERVICES = 'marketing_solutions', 'retail_media', 'commerce_grid'\n"
        "client = criteo_audiences.CriteoClient(criteo_audiences.StaticToken('t'))\n"
        "print(loaded(), sorted(set(criteo_audiences.__all__) - set(dir(criteo_audiences))))\n"
        "client.retail_media\n"
        "print(loaded(), criteo_audiences.Table.__module__)"
    )
    assert loaded.splitlines() == ["[] []", "['tables', 'uploads', 'retail_media'] criteo_audiences.tables.table"]


def test_upload_of_a_list_loads_no_engine() -> None:
    """What only files and frames need stays unloaded: the modules of tables that speak to the engine, and numpy."""
    loaded = run(
        "import asyncio, sys\n"
        "from criteo_audiences.uploads import Destination, upload\n"
        "from criteo_audiences.uploads.options import Options\n"
        "from criteo_audiences.models import ContactListOperation\n"
        "async def amend(amendment): return ContactListOperation(valid=1, invalid=0)\n"
        "there = Destination(service='marketing-solutions', host='127.0.0.1', segment_id='1')\n"
        "report = asyncio.run(upload(amend, there, ['a@b.co'], Options(hash=None)))\n"
        "tables = sorted(name[24:] for name in sys.modules if name.startswith('criteo_audiences.tables.'))\n"
        "print(report.valid, 'duckdb' in sys.modules, 'numpy' in sys.modules, *tables)"
    )
    assert loaded == "1 False False files files.paths header_words table"


def test_package_works_without_the_optional_dependencies() -> None:
    """Where the extra of the command line is missing, the package works and the command says what to install."""
    said = run(
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('typer', 'rich')))\n"
        "import criteo_audiences.sandbox\n"
        "from criteo_audiences.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end)"
    )
    assert said == "The command line needs the extra 'cli': pip install 'criteo-audiences[cli]'"


def test_import_prints_and_opens_nothing() -> None:
    """`import criteo_audiences` prints nothing, starts no thread and makes no event loop."""
    assert run("import criteo_audiences, threading; print(threading.active_count())") == "1"
