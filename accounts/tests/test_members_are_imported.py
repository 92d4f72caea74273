"""A file of members is imported as a whole or not at all, says what is wrong by line, and does nothing twice."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Membership, User
from testing import cast

pytestmark = pytest.mark.django_db

HEAD = "email,team,role\n"


@pytest.fixture(autouse=True)
def teams() -> None:
    cast.alice()
    cast.carol()


def run(folder: Path, text: str | bytes, *options: str) -> str:
    file = folder / "members.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    told = io.StringIO()
    call_command("import_members", str(file), *options, stdout=told)
    return told.getvalue()


def members() -> set[tuple[str, str, str]]:
    return set(Membership.objects.values_list("user__email", "team__name", "role"))


def test_people_are_put_into_teams(tmp_path: Path) -> None:
    told = run(tmp_path, HEAD + "fay@acme.example,Acme,member\nALICE@acme.example, Globex ,Admin\n\n")
    assert {("fay@acme.example", "Acme", "member"), ("alice@acme.example", "Globex", "admin")} <= members()
    assert not User.objects.get(email="fay@acme.example").has_usable_password()
    assert "line 2: fay@acme.example: a new user, into Acme as member" in told
    assert "2 to add, 0 to change, 0 as they were." in told


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, HEAD + "fay@acme.example,Acme,member\n")
    before = members()
    assert "0 to add, 0 to change, 1 as they were." in run(tmp_path, HEAD + "Fay@acme.example,Acme,member\n")
    assert members() == before


def test_another_role_is_a_change_and_nobody_is_removed(tmp_path: Path) -> None:
    cast.bob()
    told = run(tmp_path, HEAD + "bob@acme.example,Acme,admin\n")
    assert "in Acme, from member to admin" in told
    assert {("bob@acme.example", "Acme", "admin"), ("alice@acme.example", "Acme", "owner")} <= members()


def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    before = members()
    table = HEAD + "fay@acme.example,Acme,member\n"
    dry = run(tmp_path, table, "--dry-run")
    assert members() == before
    assert not User.objects.filter(email="fay@acme.example").exists()
    assert dry.replace(" Nothing was changed: this was a dry run.", "") == run(tmp_path, table)


def test_all_that_is_wrong_is_told_by_line_and_nothing_is_imported(tmp_path: Path) -> None:
    before = members()
    table = (
        "fay@acme.example,Acme,member\nfay,Acme,member\ngil@acme.example,Initech,king\nFAY@acme.example,Acme,owner\n"
    )
    with pytest.raises(CommandError) as wrong:
        run(tmp_path, HEAD + table)
    told = str(wrong.value)
    assert "line 3: not an email address: 'fay'" in told
    assert "line 4: there is no team named 'Initech'" in told
    assert "line 4: not a role: 'king'; one of owner, admin, member" in told
    assert "line 5: FAY@acme.example in Acme stands in line 2 already" in told
    assert "line 2:" not in told
    assert members() == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fay@acme.example,Acme,member\n", "line 1: the columns must be email,team,role"),
        ("", "line 1: the columns must be"),
        (HEAD + "fay@acme.example,Acme\n", "line 2: 2 cells, not 3"),
        (HEAD + '"fay@acme.example,Acme,member\n', "line 2: unexpected end of data"),
        (b"email,team,role\n\xff\xfe,Acme,member\n", "not UTF-8"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run(tmp_path, text)


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    run(tmp_path, "\ufeffEmail,Team,Role\r\nfay@acme.example,Acme,member\r\n")
    assert ("fay@acme.example", "Acme", "member") in members()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_members", str(tmp_path / "none.csv"))
