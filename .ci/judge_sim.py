"""Drives the simulator with the vendor's own SDK, and with curl as the vendor's pages show it.

Usage: judge_sim.py URL CA_FILE, against fixtures/worlds/conformance.toml, freshly started. The first requests meet the
statuses that its script has for them, so their order matters.
"""

import csv
import io
import json
import subprocess
import sys

from ReversingLabs.SDK import helper
from ReversingLabs.SDK.a1000 import A1000
from ReversingLabs.SDK.ticloud import CustomerUsage, FileAnalysis, FileReputation, TAXIIFeed

URL, CA = sys.argv[1], sys.argv[2]
ANA = {"host": URL, "username": "u/acme/ana", "password": "judge", "verify": CA}
POOR = {**ANA, "username": "u/acme/poor"}
ROOT = "ransomware-api-root"
COLLECTION = "f0997a32-b823-562d-9856-c754ac5e1159"
FEATURES = []


def check(what, is_so):
    if not is_so:
        sys.exit(f"not as the vendor's client expects: {what}")
    FEATURES.append(what)


def raises(what, error, call):
    try:
        call()
    except error as raised:
        check(what, type(raised) is error)
        return raised
    check(f"{what}, but nothing was raised", False)


def sha1s(n):
    return [f"{number:040x}" for number in range(n)]


def ledger():
    return json.loads(curl("/_sim/ledger")[1])


def curl(target, *arguments):
    """The status and the body."""
    command = ["curl", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", CA, "-w", "\n%{http_code}"]
    done = subprocess.run([*command, *arguments, URL + target], capture_output=True, text=True, check=True)
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), body


def statuses():
    """The script of the world, in its order."""
    reputation = FileReputation(**ANA)
    for status, error in [
        (400, helper.BadRequestError),
        (405, helper.NotAllowedError),
        (406, helper.NotAcceptableError),
        (408, helper.RequestTimeoutError),
        (409, helper.ConflictError),
        (500, helper.InternalServerError),
        (502, helper.BadGatewayError),
        (503, helper.ServiceUnavailableError),
        (401, helper.UnauthorizedError),
        (403, helper.ForbiddenError),
        (404, helper.NotFoundError),
        (413, helper.RequestTooLargeError),
        (429, helper.TooManyRequestsError),
    ]:
        raised = raises(
            f"status {status} is {error.__name__}", error, lambda: reputation.get_file_reputation(sha1s(1))
        )
        check(f"status {status} is carried", raised.response_object.status_code == status)
    check("no mapped status is left out", len(helper.RESPONSE_CODE_ERROR_MAP) == 13)
    check("what fails costs nothing", ledger()["charged"] == 0)


def listed():
    with open("fixtures/demo-verdicts.csv", encoding="ascii") as file:
        return list(csv.DictReader(io.StringIO(file.read())))


def reputations():
    reputation = FileReputation(**ANA)
    for row in listed():
        for kind in ("md5", "sha1", "sha256"):
            answer = reputation.get_file_reputation(row[kind], extended_results=True, show_hashes_in_results=True)
            entry = answer.json()["rl"]["malware_presence"]
            check(f"single {kind}: status", entry["status"] == row["status"])
            check(f"single {kind}: query_hash", entry["query_hash"] == {kind: row[kind]})
            if row["status"] == "UNKNOWN":
                check("UNKNOWN: an entry with nothing else", set(entry) == {"status", "query_hash"})
            else:
                check(f"single {kind}: digests", all(entry[other] == row[other] for other in ("md5", "sha1", "sha256")))
                check(f"single {kind}: level", entry["threat_level"] == int(row["threat_level"]))
            if row["threat_name"]:
                check(f"single {kind}: name", entry["threat_name"] == row["threat_name"])
    for n in (1, 100):
        before = ledger()["charged"]
        entries = reputation.get_file_reputation(sha1s(n)).json()["rl"]["entries"]
        check(f"bulk of {n}: an entry each", sorted(entry["query_hash"]["sha1"] for entry in entries) == sha1s(n))
        check(f"bulk of {n}: a unit each", ledger()["charged"] == before + n)
    before = ledger()["charged"]
    raises("bulk of 101", helper.RequestTooLargeError, lambda: reputation.get_file_reputation(sha1s(101)))
    check("bulk of 101: nothing charged", ledger()["charged"] == before)
    raises("a wrong password", helper.UnauthorizedError, lambda: FileReputation(**{**ANA, "password": "x"}).get_file_reputation(sha1s(1)))
    raises("no such user", helper.UnauthorizedError, lambda: FileReputation(**{**ANA, "username": "x"}).get_file_reputation(sha1s(1)))


def reports():
    analysis = FileAnalysis(**ANA)
    seen = next(row for row in listed() if row["status"] == "MALICIOUS")
    unseen = next(row for row in listed() if row["status"] == "UNKNOWN")
    sample = analysis.get_analysis_results(seen["sha1"]).json()["rl"]["sample"]
    check("analysis: single", sample["sha1"] == seen["sha1"] and sample["sha256"] == seen["sha256"])
    entries = analysis.get_analysis_results([seen["sha1"], unseen["sha1"]]).json()["rl"]["entries"]
    check("analysis: bulk is flat and leaves out the unseen", [entry["sha1"] for entry in entries] == [seen["sha1"]])
    raises("analysis: unseen", helper.NotFoundError, lambda: analysis.get_analysis_results(unseen["sha1"]))


def used(report, product="TCA-0101"):
    return sum(line["number_of_queries"] for line in report["usage_report"] if line["product"].startswith(product))


def usage():
    ours = ledger()["usage"]["u/acme/ana"]["TCA-0101"]
    client = CustomerUsage(**ANA)
    report = client.daily_usage().json()["rl"]
    check("usage: today is the world's", report["date"] == "2026-02-28")
    check("usage: today is the ledger's", used(report) == ours > 100)
    check("usage: a day", used(client.daily_usage(single_date="2026-02-28").json()["rl"]) == ours)
    check("usage: another day", client.daily_usage(single_date="2026-02-27").json()["rl"]["usage_report"] == [])
    days = client.daily_usage(from_date="2026-02-26", to_date="2026-02-28").json()["rl"]["usage_reports"]
    check("usage: days", [used(day) for day in days] == [0, 0, ours])
    check("usage: this month", used(client.monthly_usage().json()["rl"]) == ours)
    check("usage: a month", used(client.monthly_usage(single_month="2026-01").json()["rl"]) == 0)
    months = client.monthly_usage(from_month="2026-01", to_month="2026-02").json()["rl"]["usage_reports"]
    check("usage: months", [(month["month"], used(month)) for month in months] == [("2026-01", 0), ("2026-02", ours)])
    check("usage: the range", client.date_range_usage().json()["rl"]["usage_report"] == [])
    check("usage: itself", used(client.daily_usage().json()["rl"], "TCA-9999") >= 8)

    poor, client = FileReputation(**POOR), CustomerUsage(**POOR)
    limits = client.quota_limits().json()["rl"]["limits"]
    check("limits: before", [(it["limit"], it["limit_exceeded"], it["users"]) for it in limits] == [(3, False, ["u/acme/poor"])])
    poor.get_file_reputation(sha1s(3))
    raised = raises("a spent quota", helper.TooManyRequestsError, lambda: poor.get_file_reputation(sha1s(1)))
    check("a spent quota: no body", raised.response_object.content == b"")
    limits = client.quota_limits().json()["rl"]["limits"]
    check("limits: after", [it["limit_exceeded"] for it in limits] == [True])
    check("limits: the product", limits[0]["products"][0].startswith("TCA-0101"))
    check("limits: the company", len(client.quota_limits(whole_company=True).json()["rl"]["limits"]) == 1)
    check("usage: the company", used(client.daily_usage(whole_company=True).json()["rl"]) == ours + 3)
    raises("not entitled", helper.ForbiddenError, lambda: TAXIIFeed(**POOR).discovery_info())
    status, _ = curl("/_sim/advance?seconds=43200", "-X", "POST")
    check("the first of the month: the clock is moved", status == 200)
    check("the first of the month: usage starts afresh", used(client.monthly_usage().json()["rl"]) == 0)
    poor.get_file_reputation(sha1s(3))
    check("the first of the month: quota starts afresh", used(client.daily_usage().json()["rl"]) == 3)


def feed():
    client = TAXIIFeed(**ANA)
    check("taxii: discovery", client.discovery_info().json()["api_roots"] == [f"/api/taxii/{ROOT}/"])
    check("taxii: root", client.api_root_info(ROOT).json()["versions"] == ["application/taxii+json;version=2.1"])
    check("taxii: collections", [it["id"] for it in client.collections_info(ROOT).json()["collections"]] == [COLLECTION])
    before = ledger()["charged"]
    first = client.get_objects(ROOT, COLLECTION).json()
    second = client.get_objects(ROOT, COLLECTION, page=first["next"]).json()
    check("taxii: two pages", (len(first["objects"]), first["more"], second["more"]) == (500, True, False))
    check("taxii: a unit a page", ledger()["charged"] == before + 2)
    ids = [it["id"] for it in first["objects"] + second["objects"]]
    check("taxii: no object twice", len(ids) == len(set(ids)) == 720)
    check("taxii: one object", [it["id"] for it in client.get_objects(ROOT, COLLECTION, match_id=ids[3]).json()["objects"]] == ids[3:4])
    check("taxii: all pages by the SDK", len(client.get_objects_aggregated(ROOT, COLLECTION)) == 720)
    indicators = client.get_objects_aggregated(ROOT, COLLECTION, stix_types=["indicator"], confidence=">=50")
    check("taxii: the SDK's own filters", len(indicators) == 630)
    check("taxii: nothing newer", client.get_objects(ROOT, COLLECTION, added_after="2999-01-01T00:00:00Z").json() == {})
    raises("taxii: no such root", helper.NotFoundError, lambda: client.api_root_info("other"))


def appliance():
    raises("a1000: a wrong password", helper.BadRequestError, lambda: A1000(**{**ANA, "password": "x"}))
    client = A1000(**ANA)
    client.test_connection()
    sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"
    before = client.file_analysis_status([sha1], "processed").json()["results"]
    check("a1000: not there yet", before == [])
    answer = client.submit_file_from_handle(io.BytesIO(b"abc"), custom_filename="abc.bin", tags="one,two", comment="c")
    detail = answer.json()["detail"]
    check("a1000: submitted", answer.status_code == 201 and detail["sha1"] == sha1 and detail["filename"] == "abc.bin")
    after = client.file_analysis_status([sha1], "processed").json()["results"]
    check("a1000: processed", len(after) == 1 and after[0]["status"] == "processed")
    raises("a1000: a wrong token", helper.UnauthorizedError, lambda: A1000(host=URL, token="00", verify=CA).test_connection())


def as_documented():
    """The commands of the quick start and of the troubleshooting guide, with another host."""
    user = ("-u", "u/acme/ana:judge")
    quick = "/api/databrowser/rl_data/query/sha1/list?format=json"
    body = '{"rl": {"query": {"hash_type": "sha1", "hashes": ["3395856ce81f2b7382dee72602f798b642f14d45"]}}}'
    status, text = curl(quick, *user, "-H", "Content-Type: application/json", "-d", body)
    entry = json.loads(text)["rl"]["entries"][0]
    check("curl: quick start", status == 200 and entry["hash_value"] == "3395856ce81f2b7382dee72602f798b642f14d45")
    check("curl: quick start's word", entry["classification"]["classification"] in ("MALICIOUS", "SUSPICIOUS", "GOODWARE", "UNKNOWN"))
    single = f"/api/databrowser/malware_presence/query/sha1/{sha1s(1)[0]}"
    status, text = curl(single + "?format=json", *user)
    check("curl: single in JSON", status == 200 and "malware_presence" in json.loads(text)["rl"])
    status, text = curl(single, *user)
    check("curl: single in XML", status == 200 and text.startswith('<?xml version="1.0" encoding="UTF-8"?><rl><malware_presence>'))
    question = f"<rl><query><hash_type>sha1</hash_type><hashes><item>{sha1s(1)[0]}</item></hashes></query></rl>"
    status, text = curl("/api/databrowser/malware_presence/bulk_query/xml", *user, "-H", "Content-Type: application/octet-stream", "-d", question)
    check("curl: bulk in XML", status == 200 and "<entries><item><status>" in text)
    status, text = curl(f"/api/taxii/{ROOT}/collections/{COLLECTION}/objects/?added_after=2024-01-01T00:00:00Z", *user)
    check("curl: the feed", status == 200 and len(json.loads(text)["objects"]) == 500)
    status, text = curl(single, "-i")
    check("curl: no credentials", status == 401 and 'www-authenticate: basic realm="spectra intelligence"' in text.lower())


for part in (statuses, reputations, reports, usage, feed, appliance, as_documented):
    before = len(FEATURES)
    part()
    print(f"{part.__name__}: {len(FEATURES) - before} checks")
print(f"{len(FEATURES)} checks passed")
