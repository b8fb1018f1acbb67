"""Boots the kernel that Debian bookworm ships in QEMU and runs test programs on it.

    boot.py PROGRAM [ARGUMENT...]

The kernel's package is $PURGELINE_KERNEL (`./dev test` puts it there).

The machine has nothing but an initramfs: busybox, the program with the libraries it is linked
to, and an init that brings up the loopback, runs the program and switches off. Exits with the
program's own status; 2 when the machine did not come up.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TIMEOUT = 300  # seconds; an emulated machine takes a few times as long as a real one
STATUS = re.compile(r'^test-status (\d+)', re.MULTILINE)

INIT = """#!/bin/busybox sh
busybox mkdir -p /proc /sys /dev /tmp
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t tmpfs tmp /tmp
busybox ip link set lo up
echo "kernel $(busybox uname -r)"
cd /tmp
{command}
echo "test-status $?"
busybox poweroff -f
"""


def kernel_image(package, folder):
    """The kernel of a linux-image package."""
    subprocess.run(['dpkg-deb', '-x', package, folder], check=True)
    images = sorted(Path(folder, 'boot').glob('vmlinuz-*'))
    if not images:
        raise SystemExit(f'boot.py: there is no boot/vmlinuz-* in {package}')
    return images[0]


def libraries(program):
    """What the dynamic linker loads for it, the linker itself among them."""
    listed = subprocess.run(['ldd', program], check=True, capture_output=True, text=True).stdout
    missing = re.findall(r'(\S+) => not found', listed)
    if missing:
        raise SystemExit(f'boot.py: {program} needs {", ".join(missing)}')
    return sorted(set(re.findall(r'(/\S+) \(0x', listed)))


def initramfs(folder, arguments):
    root = Path(folder, 'root')
    program = Path(arguments[0]).resolve()
    (root / 'bin').mkdir(parents=True)
    shutil.copy('/bin/busybox', root / 'bin/busybox')
    shutil.copy(program, root / 'bin' / program.name)
    for library in libraries(program):
        to = root / library.lstrip('/')
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, to)
    command = shlex.join([f'/bin/{program.name}', *arguments[1:]])
    (root / 'etc').mkdir()
    (root / 'etc/hosts').write_text('127.0.0.1 localhost\n')
    (root / 'init').write_text(INIT.format(command=command))
    (root / 'init').chmod(0o755)
    image = Path(folder, 'initramfs')
    with image.open('wb') as out:
        files = subprocess.run(['find', '.', '-print0'], cwd=root, check=True,
                               capture_output=True).stdout
        subprocess.run(['cpio', '--null', '--create', '--format=newc', '--quiet'], cwd=root,
                       input=files, stdout=out, check=True)
    return image


def boot(kernel, image):
    """What the machine wrote to its console. Emulated: KVM is offered in many places where it does
    not work, and function is all that is asked for here."""
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-m', '1024', '-smp', '2',
               '-nographic', '-no-reboot', '-nic', 'none', '-kernel', kernel, '-initrd', image,
               '-append', 'console=ttyS0 quiet panic=-1']
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT)
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b'') + b'\nboot.py: timed out\n'
    return output.decode(errors='replace').replace('\r\n', '\n')


def main(arguments):
    if not arguments:
        print(__doc__)
        return 2
    package = os.environ.get('PURGELINE_KERNEL', '')
    if not os.path.exists(package):
        print(f'boot.py: PURGELINE_KERNEL is "{package}", which is no file; ./dev test sets it')
        return 2
    with tempfile.TemporaryDirectory(prefix='purgeline-qemu-') as folder:
        kernel = kernel_image(package, folder)
        console = boot(kernel, initramfs(folder, arguments))
    print(console)
    status = STATUS.search(console)
    if status is None:
        print('boot.py: the machine did not come as far as running the program')
        return 2
    return int(status.group(1))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
