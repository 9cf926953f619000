"""Known vulnerabilities of the installed packages, by pip-audit; says so where there is no network. Fails with --strict alone."""

from __future__ import annotations

import json
import subprocess
import sys


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    packages = json.loads(done.stdout)["dependencies"] if done.stdout.startswith("{") else []
    audited = [package for package in packages if "vulns" in package]
    for package in audited:
        for found in package["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
    if not audited:
        print("pip-audit cannot reach its list of vulnerabilities here: the packages are not audited.")
        return 0
    count = sum(len(package["vulns"]) for package in audited)
    print(f"pip-audit: {len(audited)} packages, {count} known vulnerabilities")
    return int(count > 0 and "--strict" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
