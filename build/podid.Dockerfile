# The image of podid: the CLI, the server and development mode.
#   docker build -f build/podid.Dockerfile -t podid .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /podid ./cmd/podid

# Nothing else is in the image: no shell, no package manager, no other user.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /podid /podid
USER 65532:65532
ENTRYPOINT ["/podid"]
