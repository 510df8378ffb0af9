"""Reverses one rule after another in a copy of the checkout and sees that the tests notice."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / ".local" / "mutants"
TESTS = ["cargo", "test", "--quiet", "--locked", "--target-dir", str(ROOT / ".local" / "mutants-target"),
         "-p", "topology", "-p", "master-election", "-p", "backups", "-p", "backup-trigger", "-p", "simulator"]


def read(line):
    parts = line.replace("\\|", "\0").split(" | ")
    return [part.strip().replace("\0", "|").replace("\\n", "\n") for part in parts]


def test():
    return subprocess.run(TESTS, cwd=COPY, capture_output=True, text=True)


def main():
    shutil.rmtree(COPY, ignore_errors=True)
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for file in files:
        (COPY / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, COPY / file)
    if test().returncode != 0:
        sys.exit("the tests fail without any mutant")
    survivors = 0
    for line in (ROOT / "simulator" / "mutants.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        what, file, part, becomes = read(line)
        path = COPY / file
        before = path.read_text()
        if before.count(part) != 1:
            sys.exit(f"{what}: {part!r} is {before.count(part)} times in {file}")
        path.write_text(before.replace(part, becomes))
        result = test()
        path.write_text(before)
        compiled = "error: could not compile" not in result.stderr
        caught = result.returncode != 0 and compiled
        survivors += not caught
        said = "caught" if caught else "SURVIVED" if compiled else "DOES NOT COMPILE"
        print(f"{said:<10} {what}", flush=True)
    sys.exit(1 if survivors else 0)


main()
