// Command image packs one static binary as an OCI image archive: for "docker
// load", "ctr images import", "kind load image-archive" or "skopeo copy",
// without a registry or a container engine. The same input gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is the one that distroless images call nonroot.
const user = "65532"

func main() {
	title := flag.String("name", "", "the image's name and tag")
	out := flag.String("o", "", "the archive to write")
	certificates := flag.String("certificates", "/etc/ssl/certs/ca-certificates.crt", "root certificates for the image, PEM")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: image -name NAME:TAG -o FILE ARCH=BINARY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *title == "" || *out == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(*out, *title, *certificates, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write makes the archive of an index with one image for each ARCH=BINARY.
func write(out, title, certificates string, binaries []string) (err error) {
	full, err := fullName(title)
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(certificates)
	if err != nil {
		return fmt.Errorf("root certificates: %w (Debian's package ca-certificates has them)", err)
	}
	index := v1.ImageIndex(empty.Index)
	for _, b := range binaries {
		arch, path, found := strings.Cut(b, "=")
		if !found {
			return fmt.Errorf("%q is not ARCH=BINARY", b)
		}
		img, err := image(arch, path, roots)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	folder := filepath.Join(dir, "layout")
	l, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// containerd reads the first annotation and takes it as it stands, everything
	// else the second.
	if err := l.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          full,
		"org.opencontainers.image.ref.name": title,
	})); err != nil {
		return err
	}
	archive := filepath.Join(dir, "archive")
	if err := pack(archive, folder); err != nil {
		return err
	}
	return os.Rename(archive, out)
}

// fullName is how the kubelet asks for an image of that name: one without a
// registry is looked for as docker.io's
// (https://github.com/distribution/reference/blob/main/normalize.go).
func fullName(short string) (string, error) {
	reference, err := name.NewTag(short)
	if err != nil {
		return "", err
	}
	registry := reference.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + reference.RepositoryStr() + ":" + reference.TagStr(), nil
}

// image is the binary, as /NAME, and what a static binary needs besides.
func image(arch, path string, roots []byte) (v1.Image, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	command := "/" + filepath.Base(path)
	files := []struct {
		name string
		mode int64
		body []byte
	}{
		{"etc/", 0o755, nil},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:" + user + ":" + user + ":nonroot:/:/sbin/nologin\n")},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots},
		{command[1:], 0o755, binary},
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), Typeflag: tar.TypeReg}
		if f.body == nil {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	compressed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, compressed)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{Entrypoint: []string{command}, User: user + ":" + user, WorkingDir: "/"}
	return mutate.ConfigFile(img, config)
}

// pack writes a folder as a tar archive, in the order of the names.
func pack(out, folder string) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return w.WriteHeader(&tar.Header{Name: name + "/", Mode: 0o755, Typeflag: tar.TypeDir})
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	})
	return errors.Join(err, w.Close())
}
