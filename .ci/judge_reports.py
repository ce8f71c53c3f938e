"""The forensic forms before readers that share no code with us: WORK/tree was swept into WORK/f.* twice (f2.*)."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import uuid
from urllib.parse import unquote_to_bytes, urlsplit

import duckdb
import jsonschema
import pyarrow.parquet
import stix2
import stix2validator
from lxml import etree
from prometheus_client.parser import text_string_to_metric_families

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
for form in ["sarif", "stix", "dfxml", "bodyfile", "hashdeep", "parquet"]:
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

# DFXML: the schema as far as we write it, of a sweep and of `hash`.
dfxml = etree.XMLSchema(etree.parse(str(pathlib.Path(__file__).with_name("dfxml.xsd"))))
for document in ["f.dfxml", "hash.dfxml"]:
    dfxml.assertValid(etree.parse(str(work / document)))

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
hashed = etree.parse(str(work / "hash.dfxml")).findall("{*}fileobject")
assert contents(hashed) == contents(theirs), "hash --format dfxml tells of other contents"

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

# Parquet: pyarrow gives every row of the JSONL back, with types; DuckDB reads two nights as one table.
file = pyarrow.parquet.ParquetFile(work / "f.parquet")
columns = {str(column.name): column for column in file.schema_arrow}
assert str(columns["answered_at"].type) == "timestamp[ms, tz=UTC]" and str(columns["inode"].type) == "uint64"
assert [str(columns[f"{kind}_bytes"].type) for kind in ("md5", "sha1", "sha256")] == [
    f"fixed_size_binary[{n}]" for n in (16, 20, 32)
]
chunk = {file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i) for i in range(len(columns))}
assert all("RLE_DICTIONARY" in chunk[name].encodings for name in ("verdict", "outcome", "threat_name"))
typed = file.read().to_pylist()
assert len(typed) == len(rows)
for row, was in zip(typed, rows):
    for key, value in was.items():
        if key == "path_raw":
            assert row[key] == unquote_to_bytes(value), (row, was)
        elif key == "answered_at":
            assert row[key].strftime("%Y-%m-%dT%H:%M:%SZ") == value, (row, was)
        elif key == "path":
            assert original(row[key]) == (row["path_raw"] or value.encode()), (row, was)
        else:
            assert row[key] == value, (key, row, was)
    assert all(row[key] is None for key in columns if key in rows[0] and key not in was), (row, was)
    for kind in ("md5", "sha1", "sha256"):
        assert (row[f"{kind}_bytes"] or b"").hex() == was.get(kind, ""), (row, was)
    assert ("sha1" in was) == (row["modified_at"] is not None and int(row["modified_at"].timestamp()) == 981173106)
nights = duckdb.sql(
    f"SELECT run, count(*), count(DISTINCT sha1_bytes), count(*) FILTER (verdict = 'malicious'), min(sweep)"
    f" FROM read_parquet('{work}/nights/**/*.parquet', hive_partitioning = true) GROUP BY run ORDER BY min(sweep)"
).fetchall()
assert [night[1:] for night in nights] == [(len(rows), 2, len(findings), 1), (len(rows) + 1, 3, len(findings), 2)], nights

# The figures, as Prometheus reads them.
samples = {}
for family in text_string_to_metric_families((work / 'nightly "1".prom').read_text()):
    assert family.type == "gauge" and family.documentation, family
    for sample in family.samples:
        labels = dict(sample.labels)
        assert labels.pop("name") == 'nightly "1"', sample
        samples[sample.name.removeprefix("hashsweep_"), *sorted(labels.values())] = sample.value
by_outcome = {key[1]: value for key, value in samples.items() if key[0] == "rows"}
assert sum(by_outcome.values()) == len(rows) and by_outcome["skipped"] == 2, by_outcome
assert samples["verdicts", "malicious"] + samples["verdicts", "suspicious"] == len(findings)
assert samples["exit_code",] == samples["complete",] == samples["simulated",] == 1
assert samples["budget_left",] == 1000 - samples["quota", "max"] - samples["quota", "in_doubt"] < 1000
assert abs(samples["last_success_timestamp_seconds",] - samples["end_timestamp_seconds",]) < 0.001
assert time.time() - 600 < samples["end_timestamp_seconds",] <= time.time()

print(f"{len(rows)} rows, {len(findings)} findings: SARIF, STIX, DFXML, hashdeep, bodyfile, Parquet and metrics read back, none lost")
