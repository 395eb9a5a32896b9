"""Faults of disks and of what lies on them: full, damaged, refused, without a backup; and memory that is short."""

import json
import os
import re
import subprocess
from pathlib import Path

import balanced
import pod
from faults import causes
from halted import halted
from place import Gateway, Stock, of_january, sending
from watch import EXPORTERS

NODE_EXPORTER = EXPORTERS / "usr/bin/prometheus-node-exporter"
DISK = Path("/var/lib/flk")


def node(place, before=(), directory="textfiles"):
    """A node exporter that looks at file systems and at the files of jobs."""
    (place.root / directory).mkdir(exist_ok=True)
    address = f"127.0.0.1:{pod.free_port()}"
    process = place.run("node", [*before, NODE_EXPORTER, "--collector.disable-defaults", "--collector.filesystem", "--collector.textfile",
                                 f"--collector.textfile.directory={place.root / directory}", f"--web.listen-address={address}"])
    balanced.wait("node exporter", lambda: pod.get(f"http://{address}/metrics")[0] == 200)
    place.watch("node", address)
    return process


@causes("FLKWALDiskPressure")
def another_program_fills_the_disk_of_the_log(place):
    image = place.root / "disk"
    with open(image, "wb") as file:
        file.truncate(300 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    mounts = f"mount -t tmpfs none /var/lib && mkdir {DISK} && mount -o loop {image} {DISK} && exec \"$0\" \"$@\""
    exporter = node(place, ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", mounts])
    inside = int(Path(f"/proc/{exporter.pid}/task/{exporter.pid}/children").read_text().split()[0])
    gateway = Gateway(place, before=["nsenter", f"--mount=/proc/{inside}/ns/mnt"], WAL_DIR=str(DISK / "wal"), WAL_MAX_BYTES="64MiB")
    place.until('node_filesystem_avail_bytes{NS,mountpoint="/var/lib/flk"} / node_filesystem_size_bytes > 0.4')
    place.faulty()
    disk = Path(f"/proc/{inside}/root{DISK}")
    other = disk / "other"
    with open(other, "wb") as file:
        while os.statvfs(disk).f_bavail > os.statvfs(disk).f_blocks * 0.1:
            file.write(bytes(1 << 22))
            file.flush()
    place.fires("FLKWALDiskPressure")
    other.unlink()
    place.resolves("FLKWALDiskPressure")
    record = place.stock.take(1)
    balanced.wait("an answer", lambda: gateway.post(record) == [200])


@causes("FLKWALHorizonShort", "FLKHoldLost")
def the_log_has_less_room_than_its_age_needs(place):
    gateway = Gateway(place, WAL_MAX_BYTES="64MiB", WAL_MAX_AGE="1m")
    gateway.flk("wal", "hold", "set", "nightly", "--dir", gateway.env["WAL_DIR"])
    [record] = place.stock.take(1)
    large = record.replace(b"{", b'{"padding":"' + b"x" * 60_000 + b'",', 1)
    assert gateway.submit(large) == 200
    place.until("flk_wal_hold_releases_total{NS} == 0")
    place.faulty()
    with sending(gateway, lambda: [large] * 60, 1.5):
        place.fires("FLKHoldLost")
        # which looks only when the process is older than WAL_MAX_AGE
        place.fires("FLKWALHorizonShort", within=150)
    place.resolves("FLKHoldLost", "FLKWALHorizonShort", within=90)


@causes("FLKBackupOld", "FLKBackupUnproven")
def no_backup_is_taken_and_none_is_read(place):
    gateway = Gateway(place)
    node(place)
    wal, kept = gateway.env["WAL_DIR"], place.root / "backups"

    def back_up():
        gateway.flk("backup", "--dir", wal, "--to", kept, "--metrics-file", place.root / "textfiles/backup.prom")
        gateway.flk("restore", "--from", kept, "--verify", "--metrics-file", place.root / "textfiles/restore.prom")

    back_up()
    place.until("flk_backup_taken_timestamp_seconds{NS} and on (namespace) flk_backup_verified_timestamp_seconds")
    place.faulty()
    # as a host has these files whose jobs last ran nine days ago
    for path in (place.root / "textfiles").glob("*.prom"):
        new = path.with_suffix(".new")
        new.write_text(re.sub(r"(?m)^(\w+_timestamp_seconds) (\S+)$", lambda it: f"{it[1]} {float(it[2]) - 9 * 86400}", path.read_text()))
        new.rename(path)
    place.fires("FLKBackupOld", "FLKBackupUnproven")
    back_up()
    place.resolves("FLKBackupOld", "FLKBackupUnproven")


@causes("FLKHoldOld")
def a_reader_of_the_log_stands_still_for_months(place):
    gateway = of_january(place)
    wal = gateway.env["WAL_DIR"]
    withheld_s = json.loads(gateway.flk("wal", "status", "--dir", wal))["withheld_s"]
    assert withheld_s > 30 * 86400, withheld_s
    gateway.flk("wal", "hold", "set", "nightly", "--dir", wal)
    place.until('flk_wal_hold_age_seconds{NS,hold="nightly"} < 60')
    place.faulty()
    gateway.flk("wal", "release-clock", "--dir", wal)
    place.fires("FLKHoldOld")
    gateway.flk("wal", "hold", "drop", "nightly", "--dir", wal)
    place.resolves("FLKHoldOld")


@causes("FLKSliceUnreadable")
def blocks_of_a_slice_are_damaged_while_it_is_in_use(place):
    gateway = Gateway(place)
    records = place.stock.take(100)
    assert gateway.post(records) == [200] * 100
    gateway.flk("wal", "compact", "--older-than", "0s", "--dir", gateway.env["WAL_DIR"])
    # A start takes what a slice has out of the tables.
    gateway.stop()
    gateway.start()
    place.until("flk_slices{NS} == 1")
    [path] = Path(gateway.env["WAL_DIR"]).glob("slice-*.flk")
    whole = path.read_bytes()
    place.faulty()
    # Entries lie behind the first block, 56 in each.
    change(path, 4096, bytes(it ^ 1 for it in whole[4096:4096 * 3]))
    found = gateway.post(records)
    assert set(found) == {503}, found
    place.fires("FLKSliceUnreadable")
    change(path, 4096, whole[4096:4096 * 3])
    assert gateway.post(records) == [200] * 100
    place.resolves("FLKSliceUnreadable")


def change(path, offset, text):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(text)


@causes("FLKWALErrors")
def writes_of_the_log_fail(place):
    gateway = Gateway(place, WAL_SEGMENT_BYTES="4MiB")
    [record] = place.stock.take(1)
    large = record.replace(b"{", b'{"padding":"' + b"x" * 60_000 + b'",', 1)
    place.until("flk_wal_errors{NS} == 0")
    place.faulty()
    # The kernel refuses to write behind this offset of any file, until a write was refused: the next segment takes it then.
    limit(gateway, 1 << 20)
    balanced.wait("a refused write", lambda: set(gateway.post([large] * 4)) == {200} and gateway.metric("flk_wal_errors") > 0)
    limit(gateway, "unlimited")
    place.fires("FLKWALErrors")
    assert gateway.submit(large) == 200
    place.resolves("FLKWALErrors")


def limit(gateway, size):
    subprocess.run(["prlimit", f"--pid={gateway.process.pid}", f"--fsize={size}:unlimited"], check=True)


@causes("FLKDedupMemoryNearlyFull", "FLKHighMemory")
def memory_is_too_small_for_the_ids_that_come(place):
    gateway = Gateway(place, DEDUP_MEMORY_MAX="1MiB", WAL_SEGMENT_BYTES="32MiB")
    limits = {"gateway": 1 << 34}
    page = balanced.Served(lambda *_: (200, "".join(
        f'kube_pod_container_resource_limits{{namespace="{place.namespace}",pod="flk-0",container="{name}",resource="memory"}} {value}\n'
        for name, value in limits.items())))
    place.ends.callback(page.end)
    place.watch("kube", page.url.removeprefix("http://"))
    place.until("kube_pod_container_resource_limits")
    records = Stock(11_000)
    share = "flk_dedup_bytes{NS} / flk_dedup_bytes_max"
    place.until(f"{share} < 0.5")
    place.faulty()
    # The keeper stands still, as it does while its disk hangs: nothing is sealed, and no id leaves the tables.
    with halted(gateway.process.pid):
        while gateway.metric("flk_dedup_bytes") < 0.92 * gateway.metric("flk_dedup_bytes_max"):
            assert set(gateway.post(records.take(250))) == {200}
        [resident] = place.series("process_resident_memory_bytes{NS}")
        limits["gateway"] = resident / 0.9
        place.fires("FLKDedupMemoryNearlyFull", "FLKHighMemory")
    limits["gateway"] = 1 << 34
    gateway.flk("wal", "compact", "--older-than", "0s", "--dir", gateway.env["WAL_DIR"])
    place.resolves("FLKDedupMemoryNearlyFull", "FLKHighMemory")
