"""A process in which files of one kind are made and read, a line of JSON a file on stdout; `guard` starts it.

python child.py KIND SEED FIRST COUNT FOLDER

It dies of a file that takes more than `SECONDS` of a processor's time. What it says of each file is how it ended:
`read`, `refused`, or `fault` with what is wrong.
"""

import io
import json
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from pathlib import Path

sys.dont_write_bytecode = True  # what is imported while a file is read writes none, either

SECONDS = 10
MEGABYTES = 1000
"""That reading one file may add to the most that was in memory before."""

REACHES = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree",
           "subprocess.Popen", "pickle.find_class", "socket.connect", "urllib.Request")  # fmt: skip
"""What a file that is read must not bring about."""


class Watch:
    """What Python does while a file is read that no file should make it do."""

    def __init__(self, folder):
        self.folder, self.watching, self.seen = str(folder), False, []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.watching:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            )
            if writes and isinstance(path, str) and not path.startswith(self.folder) and path != os.devnull:
                self.seen.append(f"{path} was opened to be written")
        elif event == "import" and str(arguments[0]).startswith("hostile"):
            self.seen.append(f"{arguments[0]} was imported")
        elif event in ("os.remove", "os.rmdir") and arguments[-1] != -1:
            return  # within a folder that is removed as a whole
        elif event in REACHES and not (arguments and str(arguments[0]).startswith(self.folder)):
            self.seen.append(f"{event}{arguments}"[:200])


def is_sentence(text):
    return text.isprintable() and text.endswith((".", "?")) and len(text) < 700 and "Traceback" not in text


def ended(kind, path):
    """(`read` or `refused`, what was said). Raises whatever is a fault."""
    from composer.errors import ComposerError, ReadingWarning, RequestWarning, RunWarning

    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            kind.use(path)
            how, said = "read", []
        except ComposerError as error:
            how, said = "refused", [str(error)]
    for warning in caught:
        text = str(warning.message)
        if issubclass(warning.category, ReadingWarning | RequestWarning | RunWarning):
            said.append(text)
        elif not issubclass(warning.category, DeprecationWarning | FutureWarning):
            assert kind.foreign, f"{warning.category.__name__} of {warning.filename}:{warning.lineno}: {text}"
    for line in printed.getvalue().split("\n"):
        assert line.isprintable(), f"this was printed: {line!r}"
    for text in said:
        assert is_sentence(text), f"this is no sentence: {text!r}"
        assert "MemoryError" not in text, text
    return how, said


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(name, seed, first, count, folder):
    import kinds

    kind = kinds.KINDS[name](folder)
    watch = Watch(folder)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 3 * MEGABYTES * 2**20, hard))
    for number in range(first, first + count):
        draw = random.Random(f"{name} {seed} {number}")
        path = kind.put(draw)
        before, fault = peak(), ""
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        watch.watching = True
        try:
            how, said = ended(kind, path)
        except Exception:
            how, said, fault = "fault", [], traceback.format_exc(limit=-12)
        watch.watching = False
        left = signal.setitimer(signal.ITIMER_PROF, 0)[0]
        if not fault and peak() - before > MEGABYTES:
            how, fault = "fault", f"it took {peak() - before} MB"
        if watch.seen:
            how, fault = "fault", "; ".join(map(str, watch.seen))
            watch.seen.clear()
        kind.learn(said)
        line = {"number": number, "how": how, "said": said, "seconds": SECONDS - left, "fault": fault}
        if fault:
            line["data"] = kind.data.hex()
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
