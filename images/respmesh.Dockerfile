# The one image of respmesh: operator, sidecar and command line. Built from the root of the repository:
#   docker build -f images/respmesh.Dockerfile -t respmesh:dev .

# Any image with Node 26, npm, sh and ldd serves; its node becomes the one of the final image.
ARG BUILD_IMAGE=node:26-bookworm-slim
# Must hold nothing that is needed: everything comes from the build stage. A distroless base works as well.
ARG FINAL_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# No package of ours needs its install script to be bundled.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node scripts/bundle.ts && sh images/rootfs.sh /rootfs

FROM ${FINAL_IMAGE}
COPY --from=build /rootfs/ /
ENV NODE_ENV=production
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "/app/respmesh.mjs"]
CMD ["help"]
