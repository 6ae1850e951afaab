package dev.whence.transfer.place;

import dev.whence.runtime.models.ModelLocation;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.nio.file.Path;

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
