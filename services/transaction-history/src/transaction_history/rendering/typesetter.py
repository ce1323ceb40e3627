"""Sets documents as PDF/A-2b, in a process of its own: `python -I typesetter.py TEMPLATE FOLDER…`.

Each request on standard input is a line of JSON `{"bytes": n, "timestamp": seconds}` and so many bytes of the
document; each answer on standard output a line `{"bytes": n}` and the PDF, `{"bytes": -1}` where it cannot be set. It
ends when its input does. It imports nothing of the service: it is to be small, and soon there.
"""

import json
import sys
from pathlib import Path

import typst


def main() -> int:
    """Answer requests until there are no more."""
    template = Path(sys.argv[1]).read_bytes()
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=sys.argv[2:])
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.readline():
        asked = json.loads(head)
        document = requests.read(asked["bytes"]).decode()
        try:
            pdf = typst.compile(
                template,
                format="pdf",
                font_paths=fonts,
                ignore_system_fonts=True,
                sys_inputs={"document": document},
                pdf_standards=["a-2b", "ua-1"],
                timestamp=asked["timestamp"],
            )
        except typst.TypstError:
            answers.write(b'{"bytes": -1}\n')
        else:
            answers.write(b'{"bytes": %d}\n' % len(pdf))
            answers.write(pdf)
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
