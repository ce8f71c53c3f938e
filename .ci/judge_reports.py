"""The forensic forms before readers that share no code with us: WORK/tree was swept into WORK/f.* twice (f2.*)."""

import json
import os
import pathlib
import re
import subprocess
import sys
import uuid
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema
import stix2
import stix2validator
from lxml import etree

work, schema = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
tree = work / "tree"
rows = [json.loads(line) for line in (work / "f.jsonl").read_text().split("\n") if line]
findings = [row for row in rows if row.get("verdict") in ("malicious", "suspicious")]
assert findings and len(findings) < len(rows), (len(findings), len(rows))


def original(text):
    """The bytes behind the documented spelling."""
    return re.sub(rb"\\x([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode())


def run(*command):
    return subprocess.run(command, capture_output=True, check=False)


on_disk = {bytes(path) for path in tree.rglob("*") if path.is_symlink() or not path.is_dir()}
for form in ["sarif", "stix", "dfxml", "bodyfile", "hashdeep"]:
    one, again = (work / f"f.{form}").read_bytes(), (work / f"f2.{form}").read_bytes()
    assert one == again, f"{form} differs when it is written again"

# SARIF: the schema, and every name exactly.
sarif = json.loads((work / "f.sarif").read_text())
jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(sarif)
results = sarif["runs"][0]["results"]
uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
assert {unquote_to_bytes(urlsplit(uri).path) for uri in uris} <= on_disk
assert len(set(uris)) == len(results) == len(findings)
assert [result["ruleId"] for result in results] == [row["verdict"] for row in findings]

# STIX: the OASIS validator, OASIS's library, and the names of the files as that library computes them.
checked = stix2validator.validate_file(str(work / "f.stix"), stix2validator.ValidationOptions(version="2.1"))
stix2validator.print_results(checked) if not checked.is_valid else None
assert checked.is_valid, checked
bundle = stix2.parse((work / "f.stix").read_text(), version="2.1")
of = lambda kind: [thing for thing in bundle.objects if thing["type"] == kind]  # noqa: E731
assert len({thing["id"] for thing in bundle.objects}) == len(bundle.objects)
assert sum(sighting["count"] for sighting in of("sighting")) == len(findings)
assert len(of("indicator")) == len({row["sha1"] for row in findings})
directories = {thing["id"]: thing["path"] for thing in of("directory")}
named = {original(directories[file["parent_directory_ref"]]) + b"/" + original(file["name"]) for file in of("file")}
assert named == {unquote_to_bytes(urlsplit(uri).path) for uri in uris}
for thing in of("file"):
    keys = {key: thing[key] for key in ("name", "parent_directory_ref") if key in thing}
    assert stix2.File(hashes=thing["hashes"], **keys, allow_custom=True)["id"] == thing["id"], thing
assert all(uuid.UUID(thing["id"].split("--")[1]).version == 5 for thing in bundle.objects)

# DFXML: hashdeep's own, of the same tree, tells of the same contents; a parser gives every name back.
ours = etree.parse(str(work / "f.dfxml")).findall("{http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML}fileobject")
names = [original(file.findtext("{*}filename")) for file in ours]
assert sorted(names) == sorted(on_disk), set(names) ^ on_disk


def contents(files):
    return sorted(
        (file.findtext("{*}filesize"),)
        + tuple(sorted((digest.get("type").lower(), digest.text) for digest in file.findall("{*}hashdigest")))
        for file in files
        if file.find("{*}hashdigest") is not None
    )


# hashdeep writes names that are no XML as they are; what is asked of it here are the contents.
raw = run("hashdeep", "-d", "-r", "-c", "md5,sha1,sha256", "-o", "f", str(tree)).stdout
theirs = etree.fromstring(re.sub(rb"[^\n -~]", b"?", raw)).findall("{*}fileobject")
assert contents(ours) == contents(theirs), "hashdeep -d tells of other contents"

# hashdeep audits the tree against our manifest. Names with a line end in them cannot be said in its form: of those it
# knows the content, and says that they were moved.
manifest = str(work / "f.hashdeep")
audit = run("hashdeep", "-r", "-o", "f", "-a", "-v", "-k", manifest, str(tree)).stdout.decode("utf-8", "replace")
count = lambda words: int(re.search(rf"{words}: (\d+)", audit)[1])  # noqa: E731
files = [name for name in on_disk if pathlib.Path(os.fsdecode(name)).is_file() and not os.path.islink(name)]
unsayable = sum(b"\n" in name or name.endswith(b"\r") for name in files)
assert 0 < unsayable < len(files) == len(contents(ours))
assert count("Files matched") == len(files) - unsayable and count("New files found") == 0, audit
assert count("Files moved") == count("Known files not found") == unsayable, audit
assert run("hashdeep", "-r", "-o", "f", "-x", "-k", manifest, str(tree)).stdout == b"", "hashdeep knows not all"

# mactime reads every row of the bodyfile, dated, under its name.
lines = (work / "f.bodyfile").read_bytes().split(b"\n")[:-1]
assert sorted(original(line.split(b"|")[1].decode()) for line in lines) == sorted(on_disk)
timeline = run("mactime", "-y", "-d", "-z", "UTC", "-b", str(work / "f.bodyfile"))
assert timeline.returncode == 0 and not timeline.stderr, timeline.stderr
dated = [line for line in timeline.stdout.decode().split("\n") if line.startswith(("2001-02-03T04:05:06Z",))]
assert len(dated) == len(contents(ours)), timeline.stdout.decode()[:3000]

print(f"{len(rows)} rows, {len(findings)} findings: SARIF, STIX, DFXML, hashdeep and bodyfile read back, none lost")
