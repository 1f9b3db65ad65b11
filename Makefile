# make test   everything: format, vet, staticcheck, known vulnerabilities, tests with the race detector
# make fuzz   a bounded time on every fuzz test
# make bench  the benchmarks
GO     ?= go
TOOL    = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 20s
export CGO_ENABLED = 1

.PHONY: test lint vuln unit fuzz bench clients

test: lint vuln clients unit

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

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

unit:
	$(GO) test -race -timeout 20m ./...

fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
