"""The vendor's own SDK in a fair loop: a hundred hashes a call, sixteen threads, one SDK object a thread.

sdk_loop.py LIST HOST CA.pem        SPECTRA_USERNAME, SPECTRA_PASSWORD
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from ReversingLabs.SDK.ticloud import FileReputation

path, host, ca = sys.argv[1:]
with open(path) as lines:
    hashes = lines.read().split()
mine = threading.local()


def ask(batch):
    if not hasattr(mine, "api"):
        mine.api = FileReputation(
            host=host,
            username=os.environ["SPECTRA_USERNAME"],
            password=os.environ["SPECTRA_PASSWORD"],
            verify=ca,
        )
    answer = mine.api.get_file_reputation(batch, extended_results=True, show_hashes_in_results=True)
    return len(answer.json()["rl"]["entries"])


batches = [hashes[at : at + 100] for at in range(0, len(hashes), 100)]
with ThreadPoolExecutor(16) as threads:
    print(sum(threads.map(ask, batches)), "answers")
