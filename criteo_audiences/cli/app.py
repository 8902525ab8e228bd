"""The application: its commands and what stands before them."""

from typing import Annotated

import typer

from criteo_audiences import __version__
from criteo_audiences.cli.audiences import audiences
from criteo_audiences.cli.campaigns import ad_sets, in_market, line_items, retailers
from criteo_audiences.cli.contact_list import clear, erase, stats
from criteo_audiences.cli.doctor import doctor, profiles, whoami
from criteo_audiences.cli.help import make_helpful
from criteo_audiences.cli.journals import journals
from criteo_audiences.cli.login import choose_profile, complete_names
from criteo_audiences.cli.mirrors import mirror, replace, snapshots
from criteo_audiences.cli.options import UploadCommand, examples, filled, grouped
from criteo_audiences.cli.sandbox import SANDBOX_EXAMPLES, demo, sandbox
from criteo_audiences.cli.segments import segments
from criteo_audiences.cli.uploads import remove, upload

app = typer.Typer(
    name="criteo-audiences",
    help="Push customer lists into Criteo audiences. Unofficial, not affiliated with Criteo.\n\n"
    "Credentials come from CRITEO_CLIENT_ID and CRITEO_CLIENT_SECRET (and CRITEO_REFRESH_TOKEN for a user who has "
    "consented), from the files that CRITEO_CLIENT_ID_FILE and the like name, or from a profile.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain lines: nothing is cut at 80 columns, and `--help` is there at once
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,  # they would show local variables, and with them identifiers
)
app.command(cls=UploadCommand)(grouped(upload))
app.command(cls=UploadCommand)(grouped(remove))
app.command(cls=UploadCommand)(grouped(mirror))
app.command(cls=UploadCommand)(grouped(replace))
app.command(cls=UploadCommand)(grouped(demo))
for command in (clear, erase, stats, whoami, doctor):
    app.command()(grouped(command))
app.command(epilog=examples(*SANDBOX_EXAMPLES))(grouped(sandbox))
app.add_typer(segments, name="segments")
app.add_typer(journals, name="journals")
app.add_typer(snapshots, name="snapshots")
app.add_typer(profiles, name="profiles")
app.add_typer(audiences, name="audiences")
app.add_typer(in_market, name="in-market")
app.add_typer(ad_sets, name="ad-sets")
app.add_typer(line_items, name="line-items")
app.command(epilog=examples("retailers 1"))(grouped(retailers))
make_helpful(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[  # noqa: ARG001 - its callback has done it all
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release and stop.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            parser=filled,
            metavar="NAME",
            help="Log in as this profile; overrides CRITEO_PROFILE. It may also stand after the command.",
            autocompletion=complete_names,
        ),
    ] = None,
) -> None:
    """Takes the options that stand before a command."""
    choose_profile(profile)
