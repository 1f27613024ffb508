import sys, os, statistics, time
src = open("/host/tests/bench/measure.py").read()
src = src[:src.rindex("\nmain()")]
exec(src)
pid, peer, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
T = ("tcmud", "tcmu-runner", "fileio")
disks = {t: make_luns(i, t, 1, "") for i, t in enumerate(T)}
fio([disks[t] for t in T], JOBS["randwrite 4k QD32"], 0.3)
tid = [int(x) for x in os.listdir(f"/proc/{pid}/task") if read(f"/proc/{pid}/task/{x}/comm").startswith("io-")]
print("io threads", tid, [read(f"/proc/{pid}/task/{x}/comm") for x in tid], os.sched_getaffinity(tid[0]))
jobs = dict(JOBS)
sel = os.environ.get("DEV_JOBS")
names = [n for n in jobs if not sel or re.search(sel, n)]
def one(t, job, sec, place=None, fiocpu=None):
    j = (job[0], job[1], job[2], job[3] + ([f"--cpus_allowed={fiocpu}"] if fiocpu is not None else []))
    p = {"tcmud": pid, "tcmu-runner": peer}.get(t)
    if place is not None:
        for x in tid: os.sched_setaffinity(x, place)
    b = daemon_cost(p) if p else None
    r = fio([disks[t]], j, sec)[0][0]
    a = daemon_cost(p) if p else None
    if place is not None:
        for x in tid: os.sched_setaffinity(x, {0, 1})
    cost = tuple((a[i]-b[i])*1e6/r["total_ios"] for i in (0, 1)) + ((a[2]-b[2])/r["total_ios"],) if p else (0, 0, 0)
    return r["iops"], cost
variants = [("fileio", "fileio", None), ("runner", "tcmu-runner", None), ("tcmud", "tcmud", None)]
if what == "place":
    variants += [("tcmud@0", "tcmud", {0})]
for n in names:
    res = {}
    for rnd in range(int(os.environ.get("DEV_ROUNDS", "3"))):
        for v, t, place in variants:
            fc = 0 if what == "place" else None
            res.setdefault(v, []).append(one(t, jobs[n], float(os.environ.get("DEV_SEC", "1")), place, fc))
    print(n)
    for v in res:
        iops = [r[0] for r in res[v]]
        ratios = [a/b[0] for a, b in zip(iops, res["fileio"])]
        print("   %-10s %8.0f  x fileio %.2f  user %.0f sys %.0f sw %.2f  %s" % (v, statistics.median(iops), statistics.median(ratios), *[statistics.median(r[1][i] for r in res[v]) for i in range(3)], [round(i) for i in iops]), flush=True)
if os.environ.get("DEV_COUNTS"):
    for n in names:
        with Counting(pid) as c:
            ios = fio([disks["tcmud"]], jobs[n], 1)[0][0]["total_ios"]
        print(n, {k: round(v/ios, 2) for k, v in c.counts.items()})
