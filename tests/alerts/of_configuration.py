"""Faults of what operators write: settings, tokens, keys, certificates."""

import datetime
import hashlib
import subprocess

import balanced
import pod
from configured import Configured
from faults import causes
from place import Gateway, sending
from watch import TOKEN

ACME = "acme's key of thirty-two bytes or more"


def day(days):
    """A moment so many days from now, as TOML has it."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@causes("FLKConfigurationNotInForce")
def a_configuration_is_wrong(place):
    file = Configured(place, ACME)
    gateway = Gateway(place, FLK_CONFIG=str(file.path)).with_control()
    place.until("flk_control_configuration_in_force{NS} == 1")
    place.faulty()
    file.put("[limits]\nrat = 5\n")
    place.fires("FLKConfigurationNotInForce")
    assert gateway.get("/readyz")[0] == 200
    file.write()
    place.resolves("FLKConfigurationNotInForce")


@causes("FLKRestartNeeded", "FLKTokensWrong")
def a_setting_needs_a_restart_and_a_token_is_mistyped(place):
    file = Configured(place, ACME)
    tokens = place.root / "tokens"
    right = f"prometheus:observer:{hashlib.sha256(TOKEN.encode()).hexdigest()}\n"
    tokens.write_text(right)
    Gateway(place, FLK_CONFIG=str(file.path), ADMIN_TOKENS_FILE=str(tokens)).with_control()
    place.until("flk_control_tokens_wrong{NS} == 0 and flk_control_restart_needed{NS} == 0")
    place.faulty()
    file.write(more='[http]\nkeepalive = "60s"\n')
    tokens.write_text(f"{right}anna:operator\n")
    place.fires("FLKTokensWrong", "FLKRestartNeeded")
    file.write(more="")
    tokens.write_text(right)
    place.resolves("FLKTokensWrong", "FLKRestartNeeded")


@causes("FLKSnapshotSuspect")
def a_change_makes_refusals_jump(place):
    file = Configured(place, pod.KEY)
    gateway = Gateway(place, FLK_CONFIG=str(file.path)).with_control()
    # The share of the minute before is that of answers which control has seen.
    batch = place.stock.take(20)
    with sending(gateway, lambda: batch, 0.2, tenant="acme") as sender:
        balanced.wait("answers", lambda: sender.answers.get(200, 0) > 1000)
        place.faulty()
        file.key.write_text("the key of another one, of as many bytes")
        gateway.flk("config", "reload", "--admin", f"127.0.0.1:{gateway.admin}")
        place.fires("FLKSnapshotSuspect")
    assert sender.answers[401] > 100, sender.answers
    file.key.write_text(pod.KEY)
    gateway.flk("config", "reload", "--admin", f"127.0.0.1:{gateway.admin}")
    place.resolves("FLKSnapshotSuspect")


@causes("FLKKeyOld", "FLKKeyEnds")
def a_key_is_old_and_about_to_end(place):
    file = Configured(place, ACME, begins=day(-10))
    Gateway(place, FLK_CONFIG=str(file.path)).with_control()
    place.until('flk_key_begins_seconds{NS,tenant="acme"} > 0')
    place.faulty()
    file.write(begins=day(-100), ends=day(2))
    place.fires("FLKKeyOld", "FLKKeyEnds")
    file.write(begins=day(-1), ends="")
    place.resolves("FLKKeyOld", "FLKKeyEnds")


@causes("FLKCertificateExpiry")
def the_certificate_of_the_proxy_is_about_to_end(place):
    gateway = Gateway(place)
    port = pod.free_port()
    (place.root / "haproxy.cfg").write_text(
        f"defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
        f"frontend tls\n    bind 127.0.0.1:{port} ssl crt {place.root}/served.pem\n    default_backend flk\n"
        f"backend flk\n    server flk 127.0.0.1:{gateway.port}\n")
    command, env = balanced.program("haproxy")

    def serve(certificate):
        (place.root / "served.pem").write_bytes(certificate.read_bytes())
        return place.run("haproxy", [command, "-db", "-f", place.root / "haproxy.cfg"], env=env)

    proxy = serve(place.certificates["long"])
    place.watch("flk-health", f"https://127.0.0.1:{port}/readyz")
    place.until("probe_success{NS} == 1")
    place.faulty()
    proxy.kill()
    proxy.wait()
    proxy = serve(place.certificates["short"])
    place.fires("FLKCertificateExpiry")
    proxy.kill()
    proxy.wait()
    serve(place.certificates["long"])
    place.resolves("FLKCertificateExpiry")


def make_certificates(root):
    """Two for this host, one of a year and one of five days; each is its own authority. Where they are, and a file with both."""
    made = {}
    for name, days in (("long", 365), ("short", 5)):
        made[name] = root / f"{name}.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{root}/{name}.key", "-out", f"{root}/{name}.crt"], check=True, capture_output=True)
        made[name].write_text((root / f"{name}.crt").read_text() + (root / f"{name}.key").read_text())
    both = root / "authorities.pem"
    both.write_text((root / "long.crt").read_text() + (root / "short.crt").read_text())
    return made, both
