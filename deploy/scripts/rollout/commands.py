"""The command lines of blue-green, canary and rollback: options, their defaults and exit codes. It decides nothing about traffic."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from rollout import terms
from rollout.audit import Audit
from rollout.haproxy import Haproxy
from rollout.istio import Istio
from rollout.judge import Limits
from rollout.kubernetes import Kubernetes
from rollout.procedure import RollOut, hear, rollback
from rollout.terms import COLOURS, REFUSED, STUCK, USAGE, Failed, Interrupted, Refused

SMOKE = Path(__file__).resolve().parents[1] / "smoke"

ENDS = """exit codes:
  0  done, or there was nothing to do
  1  the release is bad, and the old one has all traffic; of rollback: it has, but is not healthy
  2  the command line is wrong
  3  refused: the state is not one to begin from, and nothing was changed
  4  traffic may be where it should not be: act at once, the last line of the audit file says how
"""


def typed(read):
    """A reader of an option whose message argparse prints as it is."""
    def reader(text):
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(error) from error
    return reader


def address(text):
    colour, _, url = text.partition("=")
    if colour not in COLOURS or not url.startswith(("http://", "https://")):
        raise ValueError(f"{text}: allowed is blue=http://HOST:PORT or green=…")
    return colour, url.rstrip("/")


def parser(program, what):
    found = argparse.ArgumentParser(prog=program, description=what, epilog=ENDS, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = found.add_argument_group("where traffic is moved: a backend of haproxy, a Service of Kubernetes, or a VirtualService of Istio")
    where.add_argument("--haproxy", metavar="SOCKET", help="the runtime API of haproxy: a path, or HOST:PORT")
    where.add_argument("--backend", default="flk", help="its backend; servers are blue and green, or blue1, blue2, green1, … (%(default)s)")
    where.add_argument("--server-state-file", metavar="FILE", help="haproxy's server-state-file, so that its next start keeps the weights")
    where.add_argument("--service", metavar="NAME", help="a Service whose selector names one of two releases")
    where.add_argument("--virtual-service", metavar="NAME", help="a VirtualService of Istio whose destinations are two releases, each with a weight")
    where.add_argument("--namespace", default="default", help="(%(default)s)")
    where.add_argument("--context", help="of kubectl")
    where.add_argument("--label", default="app.kubernetes.io/instance", help="the label in which pods of both releases differ (%(default)s)")
    where.add_argument("--blue", default="flk-blue", help="its value for blue, and the Service or subset of a VirtualService (%(default)s)")
    where.add_argument("--green", default="flk-green", help="the same for green (%(default)s)")
    found.add_argument("--audit", metavar="FILE", default=os.environ.get("FLK_ROLLOUT_AUDIT", "/var/log/flk/rollout.jsonl"),
                       help="the record of all roll-outs, and their lock (FLK_ROLLOUT_AUDIT, %(default)s)")
    found.add_argument("--url", metavar="COLOUR=URL", action="append", default=[], type=typed(address),
                       help="a gateway of a colour, where it is not reached by the address that the balancer has; can be repeated")
    found.add_argument("--timeout", metavar="TIME", default="2s", type=typed(terms.seconds), help="of a probe and of a page of metrics (%(default)s)")
    return found


def roll_out_parser(program, what):
    found = parser(program, what)
    found.add_argument("release", help="a name for what is deployed; a release that serves already is not deployed again")
    found.add_argument("--deploy", metavar="COMMAND", required=True,
                       help="a shell command that puts $FLK_RELEASE on the colour $FLK_COLOUR and starts it; `true` if that is done")
    found.add_argument("--smoke", metavar="COMMAND", type=shlex.split, default=[str(SMOKE)],
                       help="a command that ends with 0 if the gateway of the address behind it is sound (the script smoke)")
    found.add_argument("--health-tries", metavar="N", type=int, default=30, help="(%(default)s)")
    found.add_argument("--health-every", metavar="TIME", default="1s", type=typed(terms.seconds), help="(%(default)s)")
    found.add_argument("--resume", action="store_true", help="go on with a roll-out of this release that was killed")
    limits = found.add_argument_group("what the release may do at most, from when it gets traffic")
    limits.add_argument("--errors-max", metavar="PERCENT", default="0.1%", type=typed(terms.ratio), help="answers 5xx and answers that did not come (%(default)s)")
    limits.add_argument("--p95-max", metavar="TIME", default="200ms", type=typed(terms.seconds), help="95 of 100 answers, and of probes, are that fast (%(default)s)")
    limits.add_argument("--escalations-max", metavar="PERCENT", default="2%", type=typed(terms.ratio),
                        help="records answered 202; where the old release had more, half as much again as that")
    limits.add_argument("--requests-min", metavar="N", type=int, default=50, help="fewer records are no ground to promote it (%(default)s)")
    limits.add_argument("--every", metavar="TIME", default="5s", type=typed(terms.seconds), help="how often it is looked at (%(default)s)")
    return found


def run(act, options, program):
    """Runs a procedure; what it was refused is said, and the exit code comes back."""
    hear()
    try:
        audit = Audit(options.audit, options.driver.name)
        return act(audit)
    except (Refused, Failed) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return REFUSED
    except Interrupted as error:
        print(f"{program}: {error}: nothing was changed", file=sys.stderr)
        return REFUSED
    except Exception as error:
        # Python's own exit code of an exception, 1, would say that the old release has all traffic
        print(f"{program}: {terms.described(error)}; look where the traffic is", file=sys.stderr)
        return STUCK


def read(found, arguments):
    """The options, with the driver."""
    options = found.parse_args(arguments)
    if sum(map(bool, (options.haproxy, options.service, options.virtual_service))) != 1:
        found.error("say one of --haproxy SOCKET, --service NAME and --virtual-service NAME")
    releases = (options.namespace, options.label, {"blue": options.blue, "green": options.green}, options.context)
    if options.haproxy:
        options.driver = Haproxy(options.haproxy, options.backend, options.server_state_file)
    elif options.service:
        options.driver = Kubernetes(options.service, *releases)
    else:
        options.driver = Istio(options.virtual_service, *releases)
    options.url = {colour: [url for its, url in options.url if its == colour] for colour in COLOURS}
    return options


def roll_out(found, arguments, steps):
    options = read(found, arguments)
    options.steps = steps(options)
    if options.requests_min < 1 or options.health_tries < 1:
        found.error("--requests-min and --health-tries are 1 at least")
    if options.every < 0.05:
        found.error("--every is 50ms at least")
    options.limits = Limits(options.errors_max, options.p95_max, options.escalations_max, options.requests_min, options.every, options.timeout)
    return run(lambda audit: RollOut(options.driver, audit, options).run(), options, found.prog)


def blue_green(arguments=None):
    found = roll_out_parser("blue-green", "Deploys a release to the idle colour, tests it, gives it all traffic, watches it, and goes back if it does badly.")
    found.add_argument("--watch", metavar="TIME", default="5m", type=typed(terms.seconds), help="how long it is watched with all traffic (%(default)s)")
    return roll_out(found, arguments, lambda options: [(100, options.watch)])


def canary(arguments=None):
    found = roll_out_parser("canary", "Deploys a release to the idle colour, tests it, gives it more and more traffic, and goes back if it does badly.")
    found.add_argument("--steps", metavar="LIST", default="1:15m,10:30m,50:1h,100:5m", type=typed(terms.steps),
                       help="percents, and how long each is held and watched (%(default)s)")
    return roll_out(found, arguments, lambda options: options.steps)


def way_back(arguments=None):
    found = parser("rollback", "Gives all traffic back to the colour that had it before, at once. It asks for the word ROLLBACK on standard input.")
    found.add_argument("--to", choices=COLOURS, help="a colour by name, where the audit file does not know which")
    found.add_argument("--reason", required=True, help="why, for the audit file")
    found.add_argument("--even-if-unready", action="store_true", help="switch although the gateways of that colour are not ready")
    options = read(found, arguments)
    if not options.reason.strip():
        found.error("--reason is a sentence")
    print("type ROLLBACK to give all traffic to the other colour: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "ROLLBACK":
        print("\nrollback: the word was not ROLLBACK; nothing was changed", file=sys.stderr)
        return USAGE
    print(file=sys.stderr)
    return run(lambda audit: rollback(options.driver, audit, options), options, found.prog)
