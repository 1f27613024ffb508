# SPDX-License-Identifier: Apache-2.0
"""Parses OpenMetrics text from standard input, and fails if it violates the format. Then prints the value of each argument,
a sample like NAME{LABEL="VALUE",...} that must be there, one a line."""

import math
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
SUFFIXES = {
    "counter": {"_total", "_created"},
    "gauge": {""},
    "histogram": {"_bucket", "_count", "_sum", "_created"},
}


def reject(number, text):
    sys.exit(f"line {number}: {text}")


def labels_of(number, text):
    labels = {}
    while text:
        match = LABEL.match(text)
        if not match or match.group(1) in labels:
            reject(number, f"invalid labels: {text}")
        labels[match.group(1)] = match.group(2)
        text = text[match.end():]
    return labels


def parse_samples(lines):
    families, samples, current, groups = {}, {}, None, {}
    for number, line in enumerate(lines[:-1], 1):
        if line.startswith("#"):
            match = re.match(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)$", line)
            if not match:
                reject(number, f"neither TYPE, UNIT, HELP nor a sample: {line}")
            what, name, value = match.groups()
            if what == "TYPE":
                if name in families or value not in SUFFIXES:
                    reject(number, f"a second family of this name, or an unknown type: {line}")
                families[name], current = value, name
            elif name != current:
                reject(number, f"{what} of another family than the current one, {current}")
            elif what == "UNIT" and not name.endswith(f"_{value}"):
                reject(number, f"{name} does not end with its unit, {value}")
            continue
        match = SAMPLE.match(line)
        if not match:
            reject(number, f"not a sample: {line}")
        name, labels, value = match.group(1), labels_of(number, match.group(2) or ""), float(match.group(3))
        kind = families.get(current)
        if kind is None or name[len(current):] not in SUFFIXES[kind] or not name.startswith(current):
            reject(number, f"{name} is not a sample of {current}, a {kind}")
        key = (name, tuple(sorted(labels.items())))
        if key in samples:
            reject(number, f"the same sample twice: {line}")
        if kind != "gauge" and not value >= 0:
            reject(number, f"a {kind} below 0: {line}")
        samples[key] = value
        if kind == "histogram":
            bound = labels.pop("le", None)
            if (bound is None) == name.endswith("_bucket"):
                reject(number, f"a bucket without le, or le without a bucket: {line}")
            group = groups.setdefault((current, tuple(sorted(labels.items()))), {"buckets": []})
            if bound is None:
                group[name[len(current):]] = value
            else:
                group["buckets"].append((math.inf if bound == "+Inf" else float(bound), value))
    return samples, groups


def check_histograms(groups):
    for which, group in groups.items():
        buckets = group["buckets"]
        if not buckets or buckets[-1][0] != math.inf:
            sys.exit(f"{which}: no bucket +Inf at the end")
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in zip(buckets, buckets[1:])):
            sys.exit(f"{which}: buckets are not in order, or not cumulative")
        if buckets[-1][1] != group.get("_count") or "_sum" not in group:
            sys.exit(f"{which}: the count is not that of the bucket +Inf, or there is no sum")


text = sys.stdin.read()
if not text.endswith("\n# EOF\n"):
    sys.exit("the text does not end with # EOF")
lines = text.split("\n")[:-1]
samples, groups = parse_samples(lines)
check_histograms(groups)
for wanted in sys.argv[1:]:
    match = re.match(rf"({NAME})(?:\{{(.*)\}})?$", wanted)
    key = (match.group(1), tuple(sorted(labels_of(0, match.group(2) or "").items())))
    if key not in samples:
        sys.exit(f"no sample {wanted}")
    print(f"{samples[key]:.17g}")
