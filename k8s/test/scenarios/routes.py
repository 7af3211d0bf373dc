"""overlays/example-routes: somebody else's application behind the gateway, by path and by host, who may reach it decided by
the gateway alone; then without the application, which must not hurt the gateway."""

import tempfile

from account import Account
from cluster import Failed, name, wait
from fresh import started

HOST = {"Host": "echo.example.com"}
FORGED = {"X-Media-Sub": "forged", "X-Forwarded-For": "1.2.3.4"}
BODY = 800_000


def run(cluster, report):
    if not cluster.is_up():
        started(cluster, report)
    cluster.apply("overlays/example-routes")
    cluster.kubectl("rollout", "status", "deployment/echo", "--timeout=120s", ns="echo", seconds=130)
    cluster.ready()
    with tempfile.TemporaryDirectory() as scratch:
        ca = cluster.ca_file(scratch)
        user, operator, nobody = Account(cluster, ca), Account(cluster, ca, roles=("operator",)), Account(cluster, ca)
        user.login()
        operator.login()
        wait("the route is there", lambda: nobody.request("GET", "/echo/").status == 401, 120)
        by_path(report, user, operator, nobody)
        by_host(report, user, nobody)
        alone(cluster, report)
        gone(cluster, report, operator)


def seen(answer):
    """What the application says it was asked"""
    if answer.status != 200:
        raise Failed(f"the application did not answer: {answer}")
    told = answer.json
    return told["path"], {k.lower(): v for k, v in told["headers"]}


def by_path(report, user, operator, nobody):
    report.check(nobody.request("GET", "/echo/x").status == 401, "by path: 401 without a token")
    report.check(user.request("GET", "/echo/x").status == 403, "by path: 403 without the role")
    path, headers = seen(operator.request("GET", "/echo/x?y=1", headers=FORGED))
    report.check(path == "/x?y=1" and headers.get("x-media-email") == operator.email
                 and headers.get("x-media-sub") != FORGED["X-Media-Sub"],
                 "by path: it learns who asks from the gateway alone", (path, headers))
    report.check("authorization" not in headers and headers.get("x-real-ip") not in (None, FORGED["X-Forwarded-For"]),
                 "by path: it gets the client's address and no token", headers)
    answer = operator.request("POST", "/echo/", b"x" * BODY, {"Content-Type": "application/octet-stream"})
    report.check(answer.status == 200 and answer.json["body"]["size"] == BODY, "by path: a body goes through", answer)


def by_host(report, user, nobody):
    report.check(nobody.request("GET", "/media", headers=HOST).status == 401, "by host: 401 without a token")
    path, headers = seen(user.request("GET", "/media", headers=HOST))
    report.check(path == "/media" and headers.get("host") == HOST["Host"], "by host: every path is the application's", path)
    ours = user.expect(200, "GET", "/me").json
    report.check(ours.get("email") == user.email, "by the other host: it is ours", ours)


def alone(cluster, report):
    """Around the gateway nobody gets to it."""
    address = cluster.json("get", "pods", ns="echo")["items"][0]["status"]["podIP"]
    said = cluster.exec("deploy/ctl", "curl", "-s", "-o", "/dev/null", "--max-time", "5", "-w", "%{http_code}",
                        f"http://{address}:8080/", check=False)
    report.check(said.strip() == "000", "another pod of ours does not reach it", said)


def gone(cluster, report, operator):
    """The application is deleted, and a gateway starts while its name is unknown."""
    cluster.kubectl("delete", "namespace", "echo", "--wait=true", ns="default", seconds=180)
    cluster.delete_pod(name(cluster.pods("gateway")[0]))
    wait("a gateway without its routes", lambda: cluster.ready(120) and operator.request("GET", "/me").status == 200, 150)
    report.check(True, "without the application a gateway starts, and serves what is ours")
    cluster.apply("overlays/example-routes")
    wait("the route is back", lambda: operator.request("GET", "/echo/").status == 200, 180)
    report.check(True, "with the application its routes are back")
