# The image of the node agent.
#   docker build -f build/podid-agent.Dockerfile -t podid-agent .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /podid-agent ./cmd/podid-agent

# Nothing else is in the image: no shell, no package manager, no other user.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /podid-agent /podid-agent
USER 65532:65532
ENTRYPOINT ["/podid-agent"]
