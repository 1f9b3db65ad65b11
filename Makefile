# make test   everything: format, vet, staticcheck, known vulnerabilities, tests with the race detector
# make generate   what is generated from api/: deep copies and the CustomResourceDefinition; from the chart: deploy/; docs/metrics.md
# make fuzz   a bounded time on every fuzz test
# make e2e    podid on real nodes; needs root
# make kubernetes  the programs of Kubernetes that tests start: minutes the first time, then nothing
# make soak   the faults of docs/reliability.md, over and over
# make bench  the agent, the server and the judge measured (docs/benchmarks.md), STOCK_AGENT=path beside ours
# make console the console's page, built from console/ into internal/console/assets; make console-check that it is
# make cost   the Go benchmarks: time and allocations of the hot paths
# make site   the documentation as a site, in site/dist; a dead link fails
# make man    the man pages, in dist/man
# make dist   for each of ARCHS a tarball with programs, man pages, completion and licence, and checksums
# make monitoring  the alerts and the dashboard: minutes the first time, then seconds
# make images the container images, as archives in dist/ (ARCHS="amd64 arm64" VERSION=v1.2.3)
GO     ?= go
TOOL    = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 20s
FUZZ ?= internal
BENCHTIME ?= 1s
export CGO_ENABLED = 1

.PHONY: monitoring console console-check browser soak test generate lint generated vuln unit fuzz bench cost clients kubernetes nodes e2e images site man dist bench-changes

test: lint generated vuln clients kubernetes console-check browser monitoring unit

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

generate:
	$(TOOL) controller-gen object crd paths=./api/... output:crd:dir=charts/podid/crds
	cd test/chart && $(GO) test -count=1 -run 'Golden|Plain' . -update
	$(GO) test -count=1 -run Reference ./cmd/podid ./test/docs -update
	$(GO) test -count=1 -run Documented ./test/monitoring -update

# The alerts: Prometheus' own judgement of them, and when they fire. Compiling it
# takes minutes the first time; what finds targets in clouds is left out. -count=1, as go
# keeps results whatever became of files outside the module.
monitoring:
	@mkdir -p dist
	$(GO) build -C tools/monitoring -tags remove_all_sd -o "$$(pwd)/dist/" github.com/prometheus/prometheus/cmd/promtool
	dist/promtool check rules charts/podid/monitoring/alerts.yaml
	dist/promtool test rules test/monitoring/alerts_test.yaml
	cd tools/monitoring && $(GO) vet ./... && $(GO) test -count=1 -tags remove_all_sd ./...

# Whatever is generated has to be what make generate would write.
generated:
	@dir=$$(mktemp -d) && trap 'rm -rf $$dir' EXIT && \
	$(TOOL) controller-gen object crd paths=./api/... output:object:dir=$$dir output:crd:dir=$$dir/crds && \
	diff $$dir/zz_generated.deepcopy.go api/v1alpha1/zz_generated.deepcopy.go && diff -r $$dir/crds charts/podid/crds && \
	$(GO) test -run Documented ./test/monitoring && \
	$(GO) test -run Reference ./cmd/podid ./test/docs >/dev/null || \
	{ echo "run make generate, and commit what it changes"; exit 1; }

# Exit status 3 means vulnerabilities were found; anything else that fails means that it could not look.
vuln:
	@$(TOOL) govulncheck ./... ; status=$$?; \
	if [ $$status -eq 3 ]; then echo "known vulnerabilities: see above"; exit 1; \
	elif [ $$status -ne 0 ]; then \
	  echo "**************************************************************************"; \
	  echo "** WARNING: govulncheck could not reach the vulnerability database.     **"; \
	  echo "** Known vulnerabilities were NOT looked for in this run.               **"; \
	  echo "**************************************************************************"; \
	fi

# The JavaScript SDK comes from the npm registry, for the interoperability tests alone.
clients:
	@if command -v npm >/dev/null; then cd test/interop/javascript && npm ci --no-audit --no-fund --loglevel=error; \
	else echo "** npm is not on this machine: the JavaScript SDK is not tried **"; fi

# The page is committed as it is built, so that Go alone builds podid.
console:
	cd console && npm ci --no-audit --no-fund --loglevel=error && npm run -s check && npm run -s build -- --logLevel error

console-check:
	@if ! command -v npm >/dev/null; then \
	  case ",$$PODID_REQUIRE_CLIENTS," in *,browser,*) echo "npm is required here, and missing"; exit 1;; esac; \
	  echo "** npm is not on this machine: the console is NOT built anew in this run **"; exit 0; fi; \
	dir=$$(mktemp -d) && trap 'rm -rf $$dir' EXIT && cd console && npm ci --no-audit --no-fund --loglevel=error && npm run -s check && \
	npm run -s build -- --logLevel error --outDir $$dir/assets && \
	{ diff -r $$dir/assets ../internal/console/assets >/dev/null || { diff -rq $$dir/assets ../internal/console/assets; echo "run make console, and commit what it changes"; exit 1; }; }

# A browser for test/console, from Debian.
browser:
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; fi

# Before the tests, so that compiling does not count against their time.
kubernetes:
	$(GO) run ./test/kubernetes/programs etcd kube-apiserver kube-controller-manager kube-scheduler kubectl older/kube-apiserver

# What nodes are made of, from Debian. With RUNLEVEL=1 no service starts by being installed.
nodes:
	@missing=; for program in containerd runc nft; do command -v $$program >/dev/null || missing=$$program; done; \
	if [ -n "$$missing" ] || ! test -x /usr/lib/cni/bridge; then \
	  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends containerd runc containernetworking-plugins nftables; fi

# -v, because a machine that cannot run it has to say so, and the times are worth a look.
e2e: kubernetes nodes
	$(GO) run ./test/kubernetes/programs kubelet kube-proxy
	PODID_E2E=1 $(GO) test -count=1 -v -timeout 20m ./test/e2e
	PODID_E2E=1 $(GO) test -count=1 -timeout 20m -run TestReadmeInstalls ./test/kubernetes/server

unit:
	$(GO) test -race -timeout 20m ./...
	PODID_KUBERNETES=older $(GO) test -timeout 20m ./test/kubernetes/admission ./test/kubernetes/association ./test/kubernetes/server
	cd test/chart && $(GO) vet ./... && $(GO) test -count=1 ./...
	cd tools/release && $(GO) vet ./... && $(GO) test ./...

# STOCK_AGENT is the path of an eks-pod-identity-agent, to be put beside ours; PLOTS a folder for the plots.
bench:
	$(GO) run ./test/bench $(if $(STOCK_AGENT),-stock "$(STOCK_AGENT)") $(if $(PLOTS),-plots "$(PLOTS)")
	$(MAKE) bench-changes

# Each fuzz test of the rooms in FUZZ for FUZZTIME, as many at once as there are processors.
fuzz: export GO := $(GO)
fuzz: export FUZZTIME := $(FUZZTIME)
fuzz:
	@git grep -E '^func Fuzz\w*\(' -- $(patsubst %,'%/*_test.go',$(FUZZ)) | sed -E 's,^(.*)/[^/]*:func (\w+)\(.*,./\1 \2,' | \
	xargs -P "$$(nproc)" -L 1 tools/fuzz.sh

# The costs of the hot paths; with BENCHTIME=1x only that the benchmarks run.
cost:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) \
	  $$(git grep -lE '^func Benchmark' -- 'internal/*_test.go' | xargs -n 1 dirname | sort -u | sed 's,^,./,')

# The faults of docs/reliability.md, over and over.
ROUNDS ?= 20
soak: kubernetes
	$(GO) test -race -timeout 12h -count=$(ROUNDS) ./test/agent ./internal/agent/... ./internal/eksauth ./internal/changes ./internal/chain \
	  ./internal/sts ./internal/issue ./internal/association/sqlite ./test/kubernetes/server ./test/kubernetes/admission

# How long until no agent hands out what a change has made old: 1,000 agents, 50,000 pods.
bench-changes:
	$(GO) test -run '^$$' -bench Changes -benchtime 200x -timeout 30m ./test/changes

site:
	cd site && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

ARCHS   ?= amd64
VERSION ?= dev

# The agent's page is docs/agent.md.
man:
	@rm -rf dist/man && mkdir -p dist/man
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(GO) run ./cmd/podid man dist/man
	@{ printf '%% podid-agent 8\n\n# NAME\n\npodid-agent - the credential endpoint of a node\n\n'; sed 1d docs/agent.md; } | $(TOOL) go-md2man > dist/man/podid-agent.8
	@echo dist/man

# The same commit gives the same bytes.
TAR = tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --mtime=@$$(git log -1 --format=%ct)
dist: man
	@rm -rf dist/completion && mkdir -p dist/completion && for shell in bash zsh fish; do $(GO) run ./cmd/podid completion $$shell > dist/completion/podid.$$shell || exit 1; done && mv dist/completion/podid.zsh dist/completion/_podid
	@for arch in $(ARCHS); do \
	  name=podid-$(VERSION)-linux-$$arch && rm -rf dist/$$name && mkdir -p dist/$$name && cp -r LICENSE README.md CHANGELOG.md dist/man dist/completion dist/$$name && \
	  for cmd in podid podid-agent; do \
	    CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o dist/$$name/$$cmd ./cmd/$$cmd || exit 1; \
	  done && $(TAR) -C dist -c $$name | gzip -n > dist/$$name.tar.gz && rm -r dist/$$name || exit 1; \
	done
	@cd dist && sha256sum podid-$(VERSION)-linux-*.tar.gz | tee SHA256SUMS

images:
	@mkdir -p dist
	@for cmd in podid podid-agent; do \
	  binaries=; for arch in $(ARCHS); do \
	    CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o dist/$$arch/$$cmd ./cmd/$$cmd || exit 1; \
	    binaries="$$binaries $$arch=$(CURDIR)/dist/$$arch/$$cmd"; \
	  done; \
	  (cd tools/release && $(GO) run ./image -name $$cmd:$(VERSION) -o $(CURDIR)/dist/$$cmd.tar $$binaries) || exit 1; \
	  echo "dist/$$cmd.tar"; \
	done
