package dev.whence.buckets;

import java.net.URI;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3ClientBuilder;

/**
 * The connection to the store, made when it is first needed. Everything is configured the way that
 * every tool of this kind is: credentials, region and profile by AWS's default chain (environment,
 * system properties, profile files, container and instance roles), another store's address by
 * {@code AWS_ENDPOINT_URL_S3} or {@code AWS_ENDPOINT_URL}. Where such an address is given, buckets
 * are parts of the path, as MinIO and others want it, unless {@code WHENCE_S3_PATH_STYLE=false}.
 */
final class Store {
  private final Blocks blocks = new Blocks();
  private @Nullable S3Client client;

  Blocks blocks() {
    return blocks;
  }

  synchronized S3Client client() {
    S3Client known = client;
    if (known == null) {
      known = connect();
      client = known;
    }
    return known;
  }

  private static S3Client connect() {
    Optional<String> endpoint =
        setting("aws.endpointUrlS3", "AWS_ENDPOINT_URL_S3")
            .or(() -> setting("aws.endpointUrl", "AWS_ENDPOINT_URL"));
    boolean pathStyle =
        setting("whence.s3.path-style", "WHENCE_S3_PATH_STYLE")
            .map(Boolean::parseBoolean)
            .orElse(endpoint.isPresent());
    S3ClientBuilder builder =
        S3Client.builder()
            .httpClientBuilder(UrlConnectionHttpClient.builder())
            .forcePathStyle(pathStyle);
    endpoint.map(URI::create).ifPresent(builder::endpointOverride);
    if (endpoint.isPresent()) {
      builder.region(regionOr(Region.US_EAST_1)); // only part of the signature there
    } else {
      builder.crossRegionAccessEnabled(true);
    }
    return builder.build();
  }

  private static Region regionOr(Region other) {
    try {
      return DefaultAwsRegionProviderChain.builder().build().getRegion();
    } catch (SdkClientException e) {
      return other;
    }
  }

  private static Optional<String> setting(String property, String variable) {
    String value = System.getProperty(property, System.getenv(variable));
    return value == null || value.isBlank() ? Optional.empty() : Optional.of(value);
  }
}
