"""Commands of the runbooks, as they stand behind a `$` in blocks of code, run at a gateway in the state that its page is for. What a page
shows below a command has to appear."""

import re
import subprocess

import chart
import pod
import rules

PAGES = chart.ROOT / "docs/runbooks"
MADE_HERE = "`make test-alerts` makes this state, and runs the commands of *Diagnosis* and *Validation* that begin with `$` in it."
# The tests of the command line make these states, in which no gateway serves, and run all commands.
MADE_ELSEWHERE = "A test makes this state, and runs the commands of this page that begin with `$` in it:"
NOT_MADE = "No test makes this state: "


def page_of(alert):
    """The name of the page that an alert leads to."""
    [rule] = [it for it in rules.alerts() if it["alert"] == alert]
    return rule["annotations"]["runbook_url"].rpartition("/")[2]


def head(page):
    """What stands before the first section, in one line."""
    return chart.words((PAGES / page).read_text().split("\n## ")[0])


def steps(page, section):
    """Each command of a section, with the lines that are shown below it."""
    text = (PAGES / page).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = []
    for indent, block in re.findall(r"(?ms)^( *)```\n(.*?)^ *```$", text):
        for line in (it.removeprefix(indent) for it in block.splitlines()):
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and line.strip():
                found[-1][1].append(line)
    return found


def follow(page, section, gateway):
    """Runs the commands of a section one after the other, with the places that they have here; how many there were."""
    places = {
        "http://127.0.0.1:8080": f"http://127.0.0.1:{gateway.port}", "/var/lib/flk/wal": gateway.env["WAL_DIR"],
        "/srv/backups/gateway-1": str(gateway.place.root / "backups"),
    }
    found = steps(page, section)
    for command, shown in found:
        here = command
        for its, ours in places.items():
            here = here.replace(its, ours)
        env = {**gateway.env, "PATH": f"{pod.BIN.resolve()}:/usr/bin:/bin:/usr/sbin:/sbin"}
        ran = subprocess.run([*gateway.before, "sh", "-c", here], env=env, cwd=gateway.place.root, capture_output=True, text=True, timeout=60)
        said = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{page}: {here}: {ran.returncode}: {said[-2000:]}"
        for line in shown:
            begins = line.split("…")[0]
            assert any(it.startswith(begins) for it in said.splitlines()), f"{page}: {here} shows {line}: {said[-2000:]}"
    return len(found)
