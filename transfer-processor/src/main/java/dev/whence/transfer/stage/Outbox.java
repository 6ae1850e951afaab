package dev.whence.transfer.stage;

import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.transfer.merge.StoppedException;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;

/** What jobs have to say, on its way from their threads to the stage's. */
final class Outbox {
  private final ConcurrentLinkedQueue<Said> queue = new ConcurrentLinkedQueue<>();

  /**
   * An event on its way out.
   *
   * @param committed completes when it is written, exceptionally where its job is to stop
   */
  record Said(
      TransferJob job,
      TransferEvent event,
      Optional<ModelRelease> release,
      CompletableFuture<Void> committed) {
    void refuse() {
      committed.completeExceptionally(new StoppedException());
    }

    boolean isRefused() {
      return committed.isCompletedExceptionally();
    }
  }

  /**
   * What a job speaks with; what it says counts when the stage has committed it.
   *
   * @param self the job, which is made with its voice
   */
  TransferJob.Voice voice(CompletableFuture<TransferJob> self) {
    return new TransferJob.Voice() {
      @Override
      public void say(TransferEvent event, Optional<ModelRelease> release) {
        Said said = new Said(self.join(), event, release, new CompletableFuture<>());
        queue.add(said);
        if (self.join().isStopped()) {
          said.refuse();
        }
        try {
          said.committed().join();
        } catch (CompletionException | CancellationException e) {
          throw new StoppedException();
        }
      }

      @Override
      public void progress(TransferEvent event) {
        queue.add(new Said(self.join(), event, Optional.empty(), new CompletableFuture<>()));
      }
    };
  }

  /** What is to be written next; it stays until it is removed. */
  Optional<Said> next() {
    return Optional.ofNullable(queue.peek());
  }

  void remove(Said said) {
    queue.remove(said);
  }

  /** Tells whoever waits that nothing of it will be written. */
  void refuseAll() {
    for (Said said = queue.poll(); said != null; said = queue.poll()) {
      said.refuse();
    }
  }
}
