"""Takes the services' models from the installed botocore, prose stripped. See README.md."""

import glob
import gzip
import hashlib
import json
import os

import botocore

SERVICES = """kinesis firehose kinesisanalytics kinesisanalyticsv2 kinesisvideo kinesis-video-media
kinesis-video-archived-media kinesis-video-signaling kinesis-video-webrtc-storage kms sts cloudwatch
dynamodb""".split()
PROSE = ("documentation", "deprecatedMessage")


def without_prose(value):
    if isinstance(value, dict):
        # A member may be called like prose: only texts are.
        return {
            key: without_prose(item)
            for key, item in value.items()
            if not (key in PROSE and isinstance(item, str))
        }
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    return value


def line(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def section(entries):
    return ",\n".join(f"{line(name)}:{line(entry)}" for name, entry in entries.items())


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    for service in SERVICES:
        newest = sorted(glob.glob(f"{data}/{service}/*/service-2.json.gz"))[-1]
        with gzip.open(newest) as file:
            model = without_prose(json.load(file))
        text = (
            f'{{\n"metadata":{line(model["metadata"])},\n'
            f'"operations":{{\n{section(model["operations"])}\n}},\n'
            f'"shapes":{{\n{section(model["shapes"])}\n}}\n}}\n'
        )
        with open(os.path.join(here, f"{service}.json"), "w") as file:
            file.write(text)
        version = os.path.basename(os.path.dirname(newest))
        print(f"{service} {version} {hashlib.sha256(text.encode()).hexdigest()}")
    print(f"botocore {botocore.__version__}")


if __name__ == "__main__":
    main()
