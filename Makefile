# Everything the project does, from a fresh machine with Python 3.11, gcc and make.
# VENV and PYTHON may be set from outside: make test VENV=/tmp/venv PYTHON=python3.12
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More than there are cores: much of a test is waiting.
JOBS ?= 4
PROTOS := $(wildcard proto/ring/v1/*.proto)
SOURCES := lpr ring projections server.py tests deploy

.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-training check bench format proto lock train-detector train-ocr calibrate clean

# What training needs, apart from what everything else needs: a venv of its own, and room to work in.
TRAIN_VENV ?= .venv-train
TRAIN := $(TRAIN_VENV)/bin/python
TRAIN_STAMP := $(TRAIN_VENV)/.installed
FRAMES ?= ../shared/data/frames
TEACHER ?= ../shared/data/models/cct-xs-v1-global-model
DETECTOR_WORK ?= build/train-detector
DETECTOR_STEPS ?= 2400
OCR_WORK ?= build/train-ocr
OCR_SHARDS ?= 48
OCR_STEPS ?= 6000

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## make .venv with everything in it

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 1.3 GB; a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## the main job, end to end, on this machine; ends by itself
	$(BIN)/python deploy/demo/demo.py

run: $(STAMP) ## the demo's ring, kept up until Ctrl-C
	$(BIN)/python deploy/demo/demo.py --keep

test: $(STAMP) ## every test, a file at a time in each of JOBS processes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-training: $(TRAIN_STAMP) ## the tests of training, which need PyTorch
	$(TRAIN) -m pytest -m training tests/lpr

check: $(STAMP) ## lint, formatting, types, generated code up to date
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	BIN=$(BIN) deploy/generate-proto.sh --check

bench: $(STAMP) ## the benchmarks
	$(BIN)/python -m tests.benchmarks

format: $(STAMP) ## put the sources in form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

proto: $(STAMP) ## generate the modules and type stubs of proto/
	BIN=$(BIN) deploy/generate-proto.sh

lock: $(STAMP) ## resolve the dependencies anew
	$(BIN)/pip-compile --quiet --extra dev --allow-unsafe --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --strip-extras --upgrade -o requirements.lock pyproject.toml

$(TRAIN_STAMP): pyproject.toml
	test -x $(TRAIN) || $(PYTHON) -m venv $(TRAIN_VENV)
	@echo "installing torch and the rest into $(TRAIN_VENV) (about 2 GB)"
	$(TRAIN) -m pip install --quiet --disable-pip-version-check -e '.[dev,train]'
	@touch $@

train-detector: $(TRAIN_STAMP) ## train the plate detector further, or go on (hours)
	$(TRAIN) -m lpr.training.detector_train --frames $(FRAMES) --start lpr/models/plate_detector.onnx \
	  --steps $(DETECTOR_STEPS) --out $(DETECTOR_WORK)

train-ocr: $(TRAIN_STAMP) ## train the OCR model anew, or go on (hours; npm fetches its fonts)
	test -d $(OCR_WORK)/fonts || $(TRAIN) -m lpr.training.plates_fonts $(OCR_WORK)/fonts
	$(TRAIN) -m lpr.training.ocr_pool $(OCR_WORK)/pool --shards $(OCR_SHARDS) --fonts $(OCR_WORK)/fonts --frames $(FRAMES)
	test -d $(OCR_WORK)/pool/shard-frames || test ! -d $(TEACHER) || \
	  $(TRAIN) -m lpr.training.ocr_teacher $(FRAMES) $(TEACHER)/*.onnx $(TEACHER)/*.yaml $(OCR_WORK)/pool/shard-frames
	$(TRAIN) -m lpr.training.ocr_train $(OCR_WORK)/pool $(OCR_WORK)/run --steps $(OCR_STEPS)
	$(TRAIN) -m lpr.training.ocr_export $(OCR_WORK)/run/average.pt lpr/models/plate_ocr.onnx

calibrate: $(STAMP) ## fit what a confidence means anew, after a model has changed (half an hour)
	$(BIN)/python -m lpr.calibration_fit rapidocr+ours rapidocr $(TEACHER)

clean: ## remove what setup made (what training has come to, in build, stays)
	rm -rf $(VENV) $(TRAIN_VENV) *.egg-info
