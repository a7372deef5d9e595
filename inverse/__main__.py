"""``python -m inverse``: the command line, also where no script is installed."""

from inverse.cli.main import main

if __name__ == "__main__":
    main()
