"""What a command refuses before anything starts, and in which words."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from manyhands import Command, ConfigError, pipeline, shell_command


@pytest.mark.covers("security-considerations")
@pytest.mark.bad_input(41)
class TestArguments:
    @pytest.mark.parametrize(
        ("args", "shown"),
        [
            ("ls -l", "'ls -l'"),
            ("ls | wc; rm $(x)", r"'ls \| wc; rm \$\(x\)'"),
            (b"ls", "b'ls'"),
            (Path("/bin/ls"), ".*PosixPath.*"),
            (None, "None"),
            ({"ls"}, "{'ls'}"),
            (iter(["ls"]), "<list_iterator.*"),
        ],
    )
    def test_anything_but_a_list(self, args: Any, shown: str) -> None:
        """Only a list (or tuple) is accepted; the message leads to shell_command."""
        with pytest.raises(
            TypeError, match=rf"^pass a list of arguments, got {shown}; a text for a shell goes to shell_command$"
        ):
            Command(args)

    def test_empty_list(self) -> None:
        """There must be a program."""
        with pytest.raises(ValueError, match=r"^the list of arguments is empty; its first item must be the program$"):
            Command([])

    @pytest.mark.parametrize("item", ["a\0b", b"a\0b"])
    def test_nul(self, item: Any) -> None:
        """NUL ends an argument for the system, so it cannot be in one."""
        with pytest.raises(ValueError, match=r"^argument 1 of the command, b?'a\\x00b', contains a NUL character$"):
            Command(["echo", item])

    @pytest.mark.parametrize("item", [5, None, ["x"], bytearray(b"x")])
    def test_wrong_item(self, item: Any) -> None:
        """Arguments are texts or paths; nothing is converted."""
        with pytest.raises(TypeError, match=r"^argument 2 of the command, .*, must be str, bytes or a path$"):
            Command(["echo", "a", item])

    def test_not_encodable(self) -> None:
        """A lone surrogate is no text for the system."""
        with pytest.raises(
            ValueError,
            match=rf"^argument 1 of the command, .*ud800', cannot be encoded as {sys.getfilesystemencoding()}$",
        ):
            Command(["echo", "\ud800"])

    def test_long_values_are_cut(self) -> None:
        """A message shows 80 characters of a value at most."""
        with pytest.raises(TypeError) as caught:
            Command("x" * 1000)

        assert len(str(caught.value)) < 200

    def test_shell_keyword(self) -> None:
        """There is no option shell."""
        with pytest.raises(TypeError, match="unexpected keyword argument 'shell'"):
            Command(["ls"], shell=True)  # type: ignore[call-arg]


@pytest.mark.covers("security-considerations")
class TestShellCommand:
    @pytest.mark.parametrize("text", [["ls"], b"ls", None])
    def test_takes_one_text(self, text: Any) -> None:
        """A list goes to Command."""
        with pytest.raises(
            TypeError, match=r"^shell_command takes one text, got .*; a list of arguments goes to Command$"
        ):
            shell_command(text)

    def test_no_formatting(self) -> None:
        """It takes no values to put into the text, and leaves what looks like a place for them alone."""
        assert shell_command("echo %s {0}").args == ("/bin/sh", "-c", "echo %s {0}")
        with pytest.raises(TypeError, match="positional"):
            shell_command("echo %s", "a")  # type: ignore[call-arg]

    def test_nul(self) -> None:
        """The text of a shell obeys the rules of an argument."""
        with pytest.raises(ValueError, match=r"^argument 2 of the command, 'a\\x00b', contains a NUL character$"):
            shell_command("a\0b")


@pytest.mark.covers("popen-constructor")
@pytest.mark.bad_input(39)
class TestEnvironment:
    @pytest.mark.parametrize("env", ["clean", 5, [("A", "1")]])
    def test_no_mapping(self, env: Any) -> None:
        """env is a mapping."""
        with pytest.raises(TypeError, match=r"^Command\.env must be a mapping of names to values, got "):
            Command(["a"], env=env)

    @pytest.mark.parametrize("name", ["", "A=B", b"A=B"])
    def test_name(self, name: Any) -> None:
        """A name with = would become another name."""
        with pytest.raises(
            ValueError, match=rf"^a name in Command\.env must not be empty or contain '=', got {name!r}$"
        ):
            Command(["a"], env={name: "1"})

    @pytest.mark.parametrize(("name", "content"), [("A\0", "1"), ("A", "secret\0"), ("A", b"secret\0")])
    def test_nul(self, name: str, content: Any) -> None:
        """NUL cannot be in names and values; the value is not shown."""
        with pytest.raises(
            ValueError, match=r"^the (name|value of) 'A.*' in Command\.env contains a NUL character$"
        ) as caught:
            Command(["a"], env={name: content})

        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(("name", "content"), [(5, "1"), ("A", 1), ("A", None)])
    def test_no_text(self, name: Any, content: Any) -> None:
        """Nothing is converted to text."""
        with pytest.raises(
            ValueError, match=r"^the (name 5|value of 'A') in Command\.env must be str, bytes or a path$"
        ):
            Command(["a"], env={name: content})


@pytest.mark.covers("popen-constructor")
class TestOptions:
    @pytest.mark.parametrize("timeout", [float("nan"), -1, 1e20, float("-inf")])
    def test_timeout_out_of_bounds(self, timeout: float) -> None:
        """A timeout is a number of seconds that the clock can count."""
        with pytest.raises(ConfigError, match=r"^Command\.timeout must be 0 to \d+ seconds, or inf for no limit, got "):
            Command(["a"], timeout=timeout)

    @pytest.mark.parametrize("timeout", ["5", True, [1]])
    def test_timeout_no_number(self, timeout: Any) -> None:
        """A text is no number, and neither is True."""
        with pytest.raises(
            ConfigError, match=r"^Command\.timeout must be a number \(0 to \d+ seconds, or inf for no limit\), got "
        ):
            Command(["a"], timeout=timeout)

    def test_config_error_is_a_value_error(self) -> None:
        """except ValueError catches it."""
        with pytest.raises(ValueError, match="seconds"):
            Command(["a"], timeout=-1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"output_limit": -1}, r"Command\.output_limit must be at least 0 bytes, got -1"),
            ({"output_limit": 1.5}, r"Command\.output_limit must be an integer \(at least 0 bytes\), got 1\.5"),
            ({"grace": float("inf")}, r"Command\.grace must be 0 to \d+ seconds, got inf"),
            ({"check": "yes"}, r"Command\.check must be a boolean \(true or false\), got 'yes'"),
            ({"umask": 0o1000}, r"Command\.umask must be -1 to 511, got 512"),
            ({"process_group": -1}, r"Command\.process_group must be at least 0, got -1"),
            ({"encoding": "utf-99"}, r"Command\.encoding must be a known encoding, got 'utf-99'"),
            ({"errors": "wish"}, r"Command\.errors must be a known error handler, got 'wish'"),
        ],
    )
    def test_out_of_bounds(self, options: dict[str, Any], message: str) -> None:
        """The message names the option, what is allowed and what came."""
        with pytest.raises(ConfigError, match=f"^{message}$"):
            Command(["a"], **options)

    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            ({"cwd": 5}, TypeError, r"Command\.cwd, 5, must be str, bytes or a path"),
            ({"cwd": "a\0"}, ValueError, r"Command\.cwd, 'a\\x00', contains a NUL character"),
            ({"input": 5}, TypeError, r"Command\.input must be bytes or a text, got 5"),
            ({"input": "a"}, TypeError, r"Command\.input must be bytes, or text=True be given, got str"),
            ({"input": b"a", "text": True}, TypeError, r"Command\.input must be a text, got bytes"),
            ({"input": b"a", "stdin": None}, ValueError, r"Command\.stdin and Command\.input may not both be used"),
            (
                {"stdin": "file"},
                TypeError,
                r"Command\.stdin must be PIPE, DEVNULL, a descriptor, .*'file'",
            ),
            (
                {"stdin": io.StringIO("what sys.stdin was replaced with")},
                TypeError,
                r"Command\.stdin must be PIPE, .*an open file that has one.*StringIO.*",
            ),
            ({"stdout": True}, TypeError, r"Command\.stdout must be PIPE, DEVNULL, a descriptor, .*True"),
            (
                {"stdout": io.BytesIO()},
                TypeError,
                r"Command\.stdout must be PIPE, .*an open file that has one.*BytesIO.*",
            ),
            ({"stdout": -2}, ValueError, r"Command\.stdout must be PIPE, .*\(stderr: also STDOUT\), got -2"),
            ({"stderr": -9}, ValueError, r"Command\.stderr must be PIPE, .*, got -9"),
            ({"pass_fds": "12"}, ValueError, r"Command\.pass_fds must be descriptors, got '12'"),
            ({"pass_fds": [-1]}, ValueError, r"Command\.pass_fds must be descriptors, got \(-1,\)"),
            ({"user": 1.5}, TypeError, r"Command\.user must be given by number or name, got 1\.5"),
            ({"group": True}, TypeError, r"Command\.group must be given by number or name, got True"),
            ({"extra_groups": [None]}, TypeError, r"Command\.extra_groups must be given by number or name, got None"),
        ],
    )
    def test_wrong(self, options: dict[str, Any], kind: type[Exception], message: str) -> None:
        """Wrong types and contradictions are told when the command is built."""
        with pytest.raises(kind, match=f"^{message}$"):
            Command(["a"], **options)


class TestPipeline:
    def test_empty(self) -> None:
        """There must be a command."""
        with pytest.raises(ValueError, match=r"^a pipeline needs at least one command$"):
            pipeline()

    def test_no_command(self) -> None:
        """Lists are not taken for commands."""
        with pytest.raises(TypeError, match=r"^a pipeline is made of commands, got \['ls'\]$"):
            pipeline(Command(["ls"]), ["ls"])  # type: ignore[arg-type]

    @pytest.mark.parametrize("options", [{"input": b"x"}, {"stdin": None}])
    def test_second_input(self, options: dict[str, Any]) -> None:
        """Only the first reads from elsewhere."""
        with pytest.raises(
            ValueError, match=r"^only the first command of a pipeline may have input or stdin, not Command\(\['b'\]"
        ):
            pipeline(Command(["a"]), Command(["b"], **options))

    def test_first_output(self) -> None:
        """Only the last writes elsewhere."""
        with pytest.raises(
            ValueError, match=r"^only the last command of a pipeline may have stdout, not Command\(\['a'\]"
        ):
            pipeline(Command(["a"], stdout=None), Command(["b"]))

    def test_timeout(self) -> None:
        """The limits of a pipeline are checked as those of a command are."""
        with pytest.raises(
            ConfigError, match=r"^Pipeline\.timeout must be 0 to \d+ seconds, or inf for no limit, got nan$"
        ):
            pipeline(Command(["a"]), timeout=float("nan"))
        with pytest.raises(ConfigError, match=r"^Pipeline\.output_limit must be at least 0 bytes, got -1$"):
            pipeline(Command(["a"]), output_limit=-1)
