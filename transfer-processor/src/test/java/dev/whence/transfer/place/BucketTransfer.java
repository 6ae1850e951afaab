package dev.whence.transfer.place;

import dev.whence.buckets.ObjectStore;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A transfer to a bucket in a process of its own, which says when it has sent something. */
final class BucketTransfer {
  static final long PART = 5 << 20;

  private BucketTransfer() {}

  public static void main(String[] arguments) {
    run(
        TransferRequest.of(
            ModelLocation.path(arguments[0]),
            ModelLocation.path(arguments[1]),
            ModelLocation.path(arguments[2])),
        new BucketDestination(ModelLocation.path(arguments[3]), Path.of(arguments[4]), PART),
        (moved, total) -> System.out.println("sent " + moved));
  }

  /** What processes with this work directory said last, beside it. */
  static Path errors(Path work) {
    return work.resolveSibling("errors.txt");
  }

  /** Starts the process; models may be on disk or in the store. */
  static Process start(ObjectStore store, TransferRequest request, String key, Path work)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx128m", "-XX:+UseSerialGC"));
    command.addAll(store.options());
    command.addAll(
        List.of(
            "-cp",
            System.getProperty("java.class.path"),
            BucketTransfer.class.getName(),
            request.base().directory().toString(),
            request.fineTuned().directory().toString(),
            request.target().directory().toString(),
            store.path(key).toString(),
            work.toString()));
    return new ProcessBuilder(command).redirectError(errors(work).toFile()).start();
  }

  static Published run(TransferRequest request, Destination to, MergeProgress sent) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      return to.there(plan)
          .orElseGet(
              () ->
                  to.publish(
                      MergeRun.run(
                          plan,
                          to.directory(),
                          MergeOptions.defaults().withMemoryBytes(8 << 20),
                          MergeProgress.NONE),
                      sent,
                      () -> false));
    }
  }
}
