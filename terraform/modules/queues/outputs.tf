output "events_url" {
  description = "Address of the queue of events."
  value       = aws_sqs_queue.events.url
}

output "events_arn" {
  description = "ARN of the queue of events."
  value       = aws_sqs_queue.events.arn
}

output "dead_letters_url" {
  description = "Address of the queue of dead letters."
  value       = aws_sqs_queue.dead_letters.url
}

output "dead_letters_arn" {
  description = "ARN of the queue of dead letters."
  value       = aws_sqs_queue.dead_letters.arn
}

output "kms_key_arn" {
  description = "ARN of the queues' key."
  value       = aws_kms_key.this.arn
}
