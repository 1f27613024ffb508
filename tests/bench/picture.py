# SPDX-License-Identifier: Apache-2.0
"""A picture of bars: for each job, a group with a bar for each target, as a part of what another target has."""

COLOURS = {"tcmud": "#2a6fb0", "tcmu-runner": "#c8553d", "ramdisk": "#c9ccd1"}
LEFT, STEP, HEIGHT, TOP, WIDTH = 210, 15, 11, 46, 430


def draw_bar(x, y, width, height, colour, title):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"><title>{title}</title></rect>'


def draw_shares(title, jobs, most):
    """The lines of an SVG. jobs: {job: {target: share}}, all with the same targets; most: the longest bar's share, of which
    longer ones show a part."""
    targets = list(next(iter(jobs.values())))
    group = STEP * len(targets) + 12
    total = TOP + group * len(jobs) + 12
    scale = WIDTH / most
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {total}" font-family="sans-serif" font-size="12" '
           'fill="#333">')
    yield f'<rect width="720" height="{total}" fill="#fff"/>'
    yield f'<text x="12" y="18" font-size="14">{title}</text>'
    for index, target in enumerate(targets):
        yield draw_bar(LEFT + index * 120, 26, 10, 10, COLOURS[target], target)
        yield f'<text x="{LEFT + 14 + index * 120}" y="35">{target}</text>'
    for index, (job, shares) in enumerate(jobs.items()):
        y = TOP + index * group
        yield f'<text x="{LEFT - 8}" y="{y + STEP * len(targets) / 2 + 4:.0f}" text-anchor="end">{job}</text>'
        for row, (target, share) in enumerate(shares.items()):
            shown = min(share, most)
            yield draw_bar(LEFT, y + row * STEP, scale * shown, HEIGHT, COLOURS[target], f"{job}, {target}: {share:.2f}")
            yield f'<text x="{LEFT + scale * shown + 4:.1f}" y="{y + row * STEP + 10}" font-size="10">{share:.2f}</text>'
    yield f'<line x1="{LEFT + scale:.1f}" y1="{TOP - 4}" x2="{LEFT + scale:.1f}" y2="{total - 8}" stroke="#333" stroke-dasharray="3 3"/>'
    yield "</svg>"
