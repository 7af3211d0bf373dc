# The front door. `make help` lists the targets; the work is done by CMake and the scripts of dev/.
.DEFAULT_GOAL := help
.PHONY: help deps build up down status logs demo test test-all bench lint fuzz images k8s-test clean
MAKEFLAGS += --no-print-directory

# variables of the command line reach the scripts by the environment: make up WORKERS=4 MEDIA_PORT=9090
PRESET ?= release
export PRESET

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-8s %s\n", $$1, $$2}'

deps: ## install what building, running and testing needs (Debian; root or sudo)
	@dev/deps.sh go s3 run test

build: ## compile module and workers into build/release (PRESET=dev|release|asan|tsan)
	@dev/build.sh

up: ## build, then start the whole system on loopback; WORKERS=n transcoders, ports by MEDIA_*_PORT, S3=minio|versitygw, S3_OUTPUT=separate
	@dev/up.sh $(ONLY)

down: ## stop it and keep the data; PURGE=1 leaves nothing
	@dev/down.sh

status: ## what runs, and what /readyz says
	@dev/status.sh

logs: ## follow the logs of everything
	@dev/logs.sh

demo: ## install, build, start, then upload a video (FILE=path), fetch its mp3 by the mail's link, and mask photos
	@dev/demo.sh

test: ## units, SQL, t/ plain and under ASAN, end to end, 10 s of each fuzz target
	@dev/test.sh

test-all: ## all suites, over reloads, with leak check and on the second S3; writes docs/TESTED.md
	@dev/test-all.sh

bench: build ## the figures of bench/RESULTS.md (a section alone: bench/run.sh NAME)
	@bench/run.sh

lint: ## format, banned functions, include directions, file sizes, shellcheck, cppcheck, Kubernetes manifests
	@.ci/lint.sh

fuzz: ## every fuzz target for SECONDS_EACH (60), or RUNS=n inputs; TARGETS="jwt http1" some
	@dev/fuzz.sh

images: ## container images of all roles, as docker/Dockerfile makes them (docker.io and dockerd)
	@docker/images.sh build

k8s-test: ## SCENARIOS="fresh network figures routes restore scale upgrade loss" on a real cluster of this machine (root)
	@k8s/test/run.py $(SCENARIOS)

clean: ## remove build/ (make down PURGE=1 removes the data)
	@rm -rf build
