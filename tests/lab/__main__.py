"""The kernel lab: boots real kernels, starves them, and shows that every check changes state when the kernel does."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import sys

from lab import boot, initramfs, kernels, verdicts
from lab.guest import cgroups, gauges, hours, limits, logs, owners, penalties, resets  # noqa: F401
from lab.guest.table import SCENARIOS
from lab.mutations import MUTATIONS, Mutation


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/lab/run", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the kernels and scenarios")
    parser.add_argument(
        "--kernel", metavar="NAME|PATH", action="append",
        help="a kernel of the list or any image; may be repeated; default: those of the quick run",
    )  # fmt: skip
    parser.add_argument(
        "--scenario", metavar="NAME", action="append", choices=[*SCENARIOS],
        help="a scenario of the list; may be repeated; default: those of the quick run",
    )  # fmt: skip
    parser.add_argument(
        "--full", action="store_true", help="all kernels and all scenarios, not only those of the quick run"
    )
    parser.add_argument(
        "--mutations", action="store_true", help="instead, show that each fault put into the package is noticed"
    )
    parser.add_argument("--capture", metavar="DIR", type=pathlib.Path, help="keep the captured fixture trees there")
    parser.add_argument("--refresh", action="store_true", help="look for newer images on the mirror")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=min(2, os.cpu_count() or 1), help="guests at a time; default: 2"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what every check said")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.list:
        listing()
        return 0
    images = chosen_images(options)
    if options.mutations:
        return mutations(images, options.scenario or [*SCENARIOS], options.jobs)
    names = options.scenario or [name for name, scenario in SCENARIOS.items() if scenario.quick or options.full]

    def done(verdict: verdicts.Verdict) -> None:
        print(
            f"{verdict.kernel} {verdict.scenario}: {verdict.result} ({verdict.seconds:.0f} s) {verdict.reason}",
            flush=True,
        )
        if options.verbose:
            for report in verdict.reports:
                if "ran" in report:
                    command: list[str] = report["ran"]  # type: ignore[assignment]
                    print(f"    $ {' '.join(command)}\n    {str(report['text']).strip()}")

    judged = verdicts.run(images, [SCENARIOS[name] for name in names], options.jobs, done)
    releases = {
        name: image.name.removeprefix("vmlinuz-") for name, image in images.items() if isinstance(image, pathlib.Path)
    }
    if options.capture:
        verdicts.save_captures(judged, releases, options.capture)
    columns = {kernel.name: kernel.name for kernel in kernels.KERNELS} | dict.fromkeys(images, "")
    print(verdicts.table(judged, {name: releases.get(name, name) for name in columns}))
    for name, image in images.items():
        if isinstance(image, kernels.Missing):
            print(f"{name} not run: {image}")
    wrong = [verdict for verdict in judged if verdict.result == verdicts.UNTRUE]
    left = [verdict for verdict in judged if verdict.result == verdicts.NOT_RUN]
    print(f"{len(judged) - len(wrong) - len(left)} ok, {len(wrong)} untrue, {len(left)} not run")
    return 1 if wrong or (left and os.environ.get("CI") == "true") else 0


def listing() -> None:
    print("kernels:")
    for kernel in kernels.KERNELS:
        print(f"  {kernel.name:8}{'quick' if kernel.quick else 'full':7}{kernel.package} of {', '.join(kernel.suites)}")
    print("scenarios:")
    for scenario in sorted(SCENARIOS.values()):
        print(f"  {scenario.number:2} {scenario.name:22}{'quick' if scenario.quick else 'full':7}{scenario.shows}")


def chosen_images(options: argparse.Namespace) -> dict[str, pathlib.Path | kernels.Missing]:
    """The images asked for by name; a kernel that cannot be had, with the reason."""
    known = {kernel.name: kernel for kernel in kernels.KERNELS}
    names = options.kernel or [kernel.name for kernel in kernels.KERNELS if kernel.quick or options.full]
    images: dict[str, pathlib.Path | kernels.Missing] = {}
    for name in names:
        try:
            boot.available()
            if name in known:
                images[name] = kernels.image(known[name], options.refresh)
            elif os.path.isfile(name):
                images[os.path.basename(name)] = pathlib.Path(name)
            else:
                raise kernels.Missing(f"there is no kernel {name} in the list and no such file")
        except kernels.Missing as reason:
            images[name] = reason
    return images


def mutations(images: dict[str, pathlib.Path | kernels.Missing], names: list[str], jobs: int) -> int:
    """Each fault that one of these scenarios must notice, on the first kernel that can be had: 0 if all are noticed."""
    name, image = next(((name, image) for name, image in images.items() if isinstance(image, pathlib.Path)), ("", None))
    if not image:
        print("not run: " + "; ".join(map(str, images.values())))
        return int(os.environ.get("CI") == "true")
    package = initramfs.package()

    def survives(mutation: Mutation) -> bool:
        verdict = verdicts.judge(name, image, SCENARIOS[mutation.scenario], mutation.apply(package))
        survived = verdict.result == verdicts.OK
        seen = "SURVIVED" if survived else "noticed by"
        print(f"{seen} {mutation.scenario}: {mutation.name}\n    {verdict.reason[:200]}", flush=True)
        return survived

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        survived = [*pool.map(survives, (mutation for mutation in MUTATIONS if mutation.scenario in names))]
    print(f"{survived.count(False)} of {len(survived)} faults noticed on {name}")
    return int(any(survived))


if __name__ == "__main__":
    sys.exit(main())
