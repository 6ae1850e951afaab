package dev.whence.cli;

import dev.whence.transfer.place.Destination;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Where a transfer goes. */
final class TransferOutputOptions {
  @Option(
      names = "--output",
      converter = Models.PathOrBucket.class,
      required = true,
      paramLabel = "O",
      description = {
        "directory of the result, or s3://BUCKET/KEY; with several lambdas, of one directory each"
      })
  private Path output;

  @Option(
      names = "--work",
      defaultValue = "whence-data/transfers",
      paramLabel = "D",
      description = "where a result for a bucket grows (default: ${DEFAULT-VALUE})")
  private Path work;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferOutputOptions() {}

  Destination destination() {
    return Destination.of(output, work);
  }
}
