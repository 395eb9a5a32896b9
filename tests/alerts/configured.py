"""A configuration file of a place, with a tenant and its key in a file of its own, written anew as a whole. It judges nothing."""

import os
from pathlib import Path


class Configured:
    """The file, and the settings that it was last written with."""

    def __init__(self, place, tenant_key, **settings):
        self.path = place.root / "etc/flk.toml"
        self.key = place.root / "etc/acme.key"
        self.path.parent.mkdir()
        self.key.write_text(tenant_key)
        self.settings = {"rate": 1000, "begins": "", "ends": "", "more": "", **settings}
        self.write()

    def write(self, **changed):
        """As control takes it: another file in its place."""
        self.settings |= changed
        times = "".join(f"{name} = {self.settings[key]}\n" for name, key in (("not_before", "begins"), ("not_after", "ends")) if self.settings[key])
        text = (f"{self.settings['more']}\n[[tenants]]\nid = \"acme\"\nrate = {self.settings['rate']}\n[[tenants.keys]]\nid = \"current\"\n"
                f"file = \"{self.key}\"\n{times}")
        self.put(text)

    def put(self, text):
        new = Path(f"{self.path}.new")
        new.write_text(text)
        os.replace(new, self.path)

