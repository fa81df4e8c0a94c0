# The worker, the API and every command: Node, ffmpeg and production packages, nothing else.
# What runs beside the GPU is in container/Dockerfile.

FROM node:24.11-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/build.js scripts/
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src/ src/
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24.11-bookworm-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ffmpeg \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production \
  HOST_MEDIA_PATH=/media \
  MIRUMOJI_HTTP_HOST=0.0.0.0 \
  MIRUMOJI_HTTP_PORT=9464
WORKDIR /app
COPY package.json LICENSE ./
COPY bin/ bin/
COPY schema/ schema/
COPY docs/ docs/
COPY container/ container/
COPY --from=build /app/node_modules/ node_modules/
COPY --from=build /app/dist/ dist/
RUN ln -s /app/bin/mirumoji-worker.js /usr/local/bin/mirumoji-worker && mkdir /media && chown node:node /media
USER node
EXPOSE 9464
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["mirumoji-worker", "health", "--live"]
ENTRYPOINT ["mirumoji-worker"]
CMD ["worker"]
