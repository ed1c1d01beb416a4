.PHONY: demo test spark model lint unit torture bench lock clean

demo: ## environment from the lock, then the main job on simulated traffic
	@scripts/venv run
	@.venv/bin/strongroom demo

test: ## everything that must hold: tests, ruff, mypy strict, import contracts
	@scripts/venv dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
# As collected, e2e before unit: otherwise files of few tests, which take longest, come last, one core idle.
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not torture and not spark and not model" src tests

spark: ## the same queries on Spark as on DuckDB; needs Java 17, and installs PySpark (460 MB) beside .venv
	@scripts/venv spark
	.venv-spark/bin/python -m pytest -m spark tests/interop/test_spark*.py

model: ## sealed models through torch and transformers, which it installs (2 GB) in .venv-torch; tests download nothing
	@scripts/venv torch
	HF_HUB_OFFLINE=1 .venv-torch/bin/python -m pytest -m model tests/interop/test_model*.py

torture: ## kill -9 loops, fuzzing, soaks; results go to docs/reliability.md
	@scripts/venv dev
	.venv/bin/python -m pytest -m torture tests -s

bench: ## ours, peers, the bare limit, and ratios; results go to docs/benchmarks.md
	@scripts/venv dev
	@scripts/venv spark
	.venv/bin/python benchmarks/run.py

lock: ## resolve the dependencies anew and pin them with hashes
	@scripts/venv dev
	scripts/lock

clean:
	rm -rf .venv .venv-spark .venv-torch dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
