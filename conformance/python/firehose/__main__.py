"""Runs the Firehose suite: `python -m firehose [api] [objects] [destinations] [modules] [opensearch] [sources] [status] [crash] [outages] [faults] [iceberg] [late]`."""

import sys
import types

from durability.server import fresh_folder
from harness import Suite, finish

from . import api, crash, destinations, faults, iceberg, late, modules, objects, opensearch, outages, sources, status
from .endpoints import Endpoint
from .parts import Kafka, Millstream, Moto, Postgres

ROOMS = {"api": api, "objects": objects, "destinations": destinations, "modules": modules, "opensearch": opensearch, "sources": sources,
         "status": status, "crash": crash, "outages": outages, "faults": faults, "iceberg": iceberg, "late": late}


class Switch(Endpoint):
    """One URL that the settings name, behind which each case puts a runtime of its own."""

    target = None

    def respond(self, *request):
        assert self.target, "no case has a function now"
        return self.target.respond(*request)


class Site(types.SimpleNamespace):
    """All parts, and the servers under test with their settings."""

    def __init__(self):
        folder = fresh_folder("firehose")
        functions = Switch()
        self.started = [functions]
        super().__init__(folder=folder, functions=functions, started=self.started)
        try:
            self.open(folder, functions)
        except BaseException:
            self.stop()
            raise

    def open(self, folder, functions):
        self.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:rework"
        self.filter_arn = "arn:aws:lambda:us-east-1:000000000000:function:filter"
        self.kafka = self.keep(Kafka(folder))
        self.kafka_arn = "arn:aws:kafka:us-east-1:000000000000:cluster/main/1"
        outside = folder / "outside.toml"
        outside.write_text(f'[functions]\n"{self.function_arn}" = "{functions.url}/rework"\n'
                           f'"{self.filter_arn}" = "jq:. + {{reworked: true}}"\n'
                           f'[kafka_clusters]\n"{self.kafka_arn}" = "{self.kafka.address}"\n'
                           f'{sources.secured_clusters(self.kafka)}'
                           '[credentials]\naccess_key_id = "conformance"\nsecret_access_key = "conformance"\n')
        self.opensearch = self.keep(opensearch.OpenSearch(folder))
        self.moto = self.keep(Moto(folder))
        self.postgres = self.keep(Postgres())
        self.s3, self.glue = self.moto.client("s3"), self.moto.client("glue")
        self.local = local = {"firehose_destinations": "any", "redshift_dialect": "postgresql", "outside_file": str(outside)}
        remote = {**local, "s3_endpoint": self.moto.endpoint, "glue_endpoint": self.moto.endpoint}
        self.alone = self.serve(folder / "alone", local)
        self.victim = self.serve(folder / "victim", local)
        self.firehose = self.alone.firehose()
        self.remote = self.serve(folder / "remote", remote).firehose()

    def serve(self, folder, settings):
        folder.mkdir(parents=True)
        server = Millstream(folder, settings)
        self.started.append(server)
        assert server.start() is not None, server.log()
        return server

    def keep(self, part):
        self.started.append(part)
        return part

    def stop(self):
        for part in reversed(self.started):
            end = "kill" if isinstance(part, Millstream) else "remove" if isinstance(part, Postgres) else "stop"
            getattr(part, end)()


if __name__ == "__main__":
    suite = Suite("boto3 and real parts", "JSON", "firehose")
    for room in sys.argv[1:] or ROOMS:
        for operations, prove in ROOMS[room].CASES:
            suite.add(operations, prove.__doc__, prove)
    site = Site()
    try:
        counts = suite.run(site)
    finally:
        site.stop()
    finish([counts])
